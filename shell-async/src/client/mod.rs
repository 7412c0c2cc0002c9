//! The client side of the API: requests over the server's socket, one connection each.
//!
//! `error`: why there is no answer. `sse`: a reader of server-sent events, cut anywhere. `follow`: a stream that goes on where it
//! was when its connection ends. `rows`: the API's answers as the rows that quire-ci's views show.

mod error;
mod follow;
pub mod rows;
mod sse;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quire_ci::record::DataDir;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smol::Timer;
use smol::future::FutureExt as _;
use smol::net::unix::UnixStream;
use smol_hyper::rt::FuturesIo;

pub use error::ClientError;
pub use follow::{Follow, Next};
pub use sse::{Message, Reader};

/// Longest wait for the beginning of an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer that is read as a whole.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// What stands in a path or a query as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as a part of a path or a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// `?a=1&b=2` of what is given; nothing where nothing is.
pub fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let given = pairs.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded((*value)?))));
    let joined = given.collect::<Vec<_>>().join("&");
    if joined.is_empty() { joined } else { format!("?{joined}") }
}

/// The server of one data directory.
#[derive(Debug, Clone)]
pub struct Client {
    data: PathBuf,
    socket: PathBuf,
    patience: Duration,
}

impl Client {
    /// Of the data directory at `data`.
    pub fn of(data: &Path) -> Client {
        Client { data: data.to_owned(), socket: DataDir::socket_in(data), patience: PATIENCE }
    }

    /// Waits no longer than this for the beginning of an answer.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Client {
        self.patience = patience;
        self
    }

    /// Asks for `path` (below `/api/v1`, with its query) and reads the JSON that comes.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.request(Method::GET, path, &[], None).await?;
        self.read_json(answer).await
    }

    /// Sends JSON and reads the JSON that comes.
    pub async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(error))?;
        let answer = self.request(Method::POST, path, &[], Some(body)).await?;
        self.read_json(answer).await
    }

    /// Sends an order that its path says all of, and reads the JSON that comes.
    pub async fn order<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.request(Method::POST, path, &[], None).await?;
        self.read_json(answer).await
    }

    /// Asks for bytes and hands them on as they come. `headers`: beside Host.
    pub async fn bytes<E: From<ClientError>>(
        &self,
        path: &str,
        headers: &[(HeaderName, &str)],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut answer = self.request(Method::GET, path, headers, None).await?;
        while let Some(bytes) = self.next(&mut answer).await? {
            each(&bytes)?;
        }
        Ok(())
    }

    /// A successful answer's head; its body is still to come. A refusal becomes an error here.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, ClientError> {
        let late = async {
            Timer::after(self.patience).await;
            Err(ClientError::Late { socket: self.socket.clone(), after: self.patience })
        };
        let answer = self.send(method, path, headers, body).or(late).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let text =
            self.read_whole(answer).or(async { Ok(Timer::after(self.patience).await).map(|_| Vec::new()) }).await;
        Err(ClientError::refused(status, &text.unwrap_or_default()))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| ClientError::connect(&error, &self.socket, &self.data))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(FuturesIo::new(stream)).await.map_err(|error| self.broken(error))?;
        // It ends with the answer, or where the other side does; what went wrong is told to who waits for the answer.
        smol::spawn(async move { connection.await.unwrap_or_default() }).detach();
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}")).header(HOST, "quire");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if !headers.iter().any(|(name, _)| name == ACCEPT) {
            request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).map_err(|error| self.broken(error))?;
        sender.send_request(request).await.map_err(|error| self.broken(error))
    }

    /// The next bytes of an answer; `None` at its end.
    pub async fn next(&self, answer: &mut Response<Incoming>) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = answer.body_mut().frame().await {
            if let Ok(bytes) = frame.map_err(|error| self.broken(error))?.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    async fn read_whole(&self, mut answer: Response<Incoming>) -> Result<Vec<u8>, ClientError> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next(&mut answer).await? {
            if whole.len() + bytes.len() > MAX_ANSWER {
                return Err(self.broken("the answer is too long"));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    async fn read_json<T: DeserializeOwned>(&self, answer: Response<Incoming>) -> Result<T, ClientError> {
        let text = self.read_whole(answer).await?;
        serde_json::from_slice(&text).map_err(|error| self.broken(error))
    }

    fn broken(&self, why: impl std::fmt::Display) -> ClientError {
        ClientError::Broken { socket: self.socket.clone(), why: why.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_hold_what_is_given() {
        assert_eq!(query(&[("a", None)]), "");
        assert_eq!(
            query(&[("repo", Some("work/foo.git")), ("b", None), ("n", Some("ü &"))]),
            "?repo=work%2Ffoo.git&n=%C3%BC%20%26"
        );
    }
}
