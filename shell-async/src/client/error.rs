//! Why the server gave no answer, or said no.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::StatusCode;
use quire_ci::cli::{CliError, ErrorKind};
use quire_ci::ui::text::one_line;

use crate::api::Problem;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("the quire server is not running")]
    NotRunning {
        /// Where it would listen.
        socket: PathBuf,
        /// Its data directory.
        data: PathBuf,
    },
    /// The socket is not for this user.
    #[error("this user may not talk to the quire server")]
    Denied {
        /// Where it listens.
        socket: PathBuf,
    },
    /// The socket cannot be connected to for another reason.
    #[error("the quire server cannot be reached: {why}")]
    Unreachable {
        /// Where it would listen.
        socket: PathBuf,
        /// As the machine says it.
        why: String,
    },
    /// The answer does not begin.
    #[error("the quire server has not answered for {} s", after.as_secs())]
    Late {
        /// Where it listens.
        socket: PathBuf,
        /// How long was waited.
        after: Duration,
    },
    /// The connection ended before its time, or the answer makes no sense.
    #[error("the quire server's answer was cut off or makes no sense: {why}")]
    Broken {
        /// Where it listens.
        socket: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The server said no.
    #[error("{}", one_line(said))]
    Refused {
        /// HTTP status.
        status: u16,
        /// What was wrong.
        said: String,
        /// What to do, where the server says so apart.
        help: Option<String>,
    },
}

impl ClientError {
    /// Of a socket that cannot be connected to.
    pub(super) fn connect(error: &io::Error, socket: &Path, data: &Path) -> ClientError {
        let socket = socket.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning { socket, data: data.to_owned() }
            }
            io::ErrorKind::PermissionDenied => ClientError::Denied { socket },
            _ => ClientError::Unreachable { socket, why: error.to_string() },
        }
    }

    /// Of a refusal: `application/problem+json`, or whatever else came.
    pub(super) fn refused(status: StatusCode, body: &[u8]) -> ClientError {
        let problem: Option<Problem> = serde_json::from_slice(body).ok();
        let said = problem.map(|problem| if problem.detail.is_empty() { problem.title } else { problem.detail });
        let said = said.unwrap_or_else(|| format!("the server answered {status}"));
        // The first line says what was wrong, what follows what to do.
        let (said, help) = match said.split_once('\n') {
            Some((said, help)) => (said.to_owned(), Some(help.trim().to_owned())),
            None => (said, None),
        };
        ClientError::Refused { status: status.as_u16(), said, help: help.filter(|help| !help.is_empty()) }
    }

    /// Whether the same request may be answered later, by this server or the next one.
    pub fn is_passing(&self) -> bool {
        match self {
            ClientError::Refused { status, .. } => *status >= 500 || *status == 429,
            _ => true,
        }
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> CliError {
        let kind = match &error {
            ClientError::Refused { status: 404 | 410, .. } => ErrorKind::NotFound,
            ClientError::Refused { status: 400 | 409 | 422, .. } => ErrorKind::Usage,
            _ => ErrorKind::Machine,
        };
        let text = error.to_string();
        let (place, help) = match error {
            ClientError::NotRunning { socket, data } => {
                let start = format!("start it: quire serve --data-dir {}", data.display());
                (Some(socket), Some(format!("{start}\nor name its data directory: --data-dir DIR, or QUIRE_DATA")))
            }
            ClientError::Denied { socket } => {
                let help = "do this as the server's user or as root; who is in its `group` may only push";
                (Some(socket), Some(help.to_owned()))
            }
            ClientError::Unreachable { socket, .. } => (Some(socket), None),
            ClientError::Late { socket, .. } => {
                (Some(socket), Some("look at what the server prints; what was asked for may have been done".to_owned()))
            }
            ClientError::Broken { socket, .. } => {
                (Some(socket), Some("look at what the server prints, and whether it is of the same version".to_owned()))
            }
            ClientError::Refused { help, .. } => (None, help),
        };
        let place = place.map(|place| place.display().to_string());
        CliError { place, help, ..CliError::new(kind, text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quire_ci::cli::plain;

    #[test]
    fn problems_become_what_and_what_to_do() {
        let body =
            br#"{"type":"about:blank","title":"Not Found","status":404,"detail":"there is no run 7\nruns: 1, 2"}"#;
        let error = ClientError::refused(StatusCode::NOT_FOUND, body);
        assert!(!error.is_passing());
        let error = CliError::from(error);
        assert_eq!(
            (error.kind, error.render(&plain).as_str()),
            (ErrorKind::NotFound, "error: there is no run 7\nhelp: runs: 1, 2\n")
        );
        let error = ClientError::refused(StatusCode::BAD_GATEWAY, b"<html>");
        assert!(error.is_passing());
        assert_eq!(CliError::from(error).render(&plain), "error: the server answered 502 Bad Gateway\n");
    }

    #[test]
    fn a_server_that_is_down_is_told_how_to_start() {
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = ClientError::connect(&error, Path::new("/d/quire.sock"), Path::new("/d"));
        let text = CliError::from(error).render(&plain);
        assert!(text.contains("--> /d/quire.sock") && text.contains("quire serve --data-dir /d"), "{text}");
    }
}
