//! Who asks: the socket's peer, a bearer token, a trusted proxy's header, a session cookie, in this order.
//!
//! What an identity may do is `quire_core::access`'s; here its answers become those of HTTP.

use std::fs;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;

use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, ORIGIN};
use quire_core::access::{self, Action, Denied, Identity, Via};
use quire_core::config::{Role, ServerConfig};

use super::credentials::Credentials;
use super::failure::Failure;

/// The cookie that holds a session.
pub(super) const SESSION_COOKIE: &str = "quire_session";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A process on this machine, over the socket.
    Socket {
        /// Its user.
        uid: u32,
        /// Its user's name.
        name: String,
    },
    /// Someone over TCP.
    Tcp(IpAddr),
}

/// Who asks, and whether a browser tells it by itself, whoever's page makes it ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) identity: Identity,
    pub(super) is_ambient: bool,
}

impl Caller {
    fn told(identity: Identity) -> Caller {
        Caller { identity, is_ambient: false }
    }

    fn ambient(identity: Identity) -> Caller {
        Caller { identity, is_ambient: true }
    }
}

/// Who is at the other end of the socket.
pub(super) fn socket_peer(stream: &UnixStream) -> std::io::Result<Peer> {
    let uid = rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw();
    Ok(Peer::Socket { uid, name: user_name(uid) })
}

/// A user's name. Users that are not in the file (LDAP) go by their number.
pub(super) fn user_name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}

/// Finds out who asks. A token that is not valid is refused, not taken for none: who sent it believes to be known. A session
/// that is over is none: its browser sends it along all the same.
pub(super) async fn identify(
    credentials: &dyn Credentials,
    config: &ServerConfig,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Caller, Failure> {
    let address = match peer {
        Peer::Socket { uid, name } => {
            let is_owner = *uid == 0 || *uid == rustix::process::geteuid().as_raw();
            let via = if is_owner { Via::Owner } else { Via::Group };
            return Ok(Caller::told(Identity::Known { name: name.clone(), via }));
        }
        Peer::Tcp(address) => address,
    };
    if let Some(value) = headers.get(AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer);
        let token =
            token.ok_or_else(|| Failure::unknown_identity("Authorization must be `Bearer` and an API token"))?;
        let gone = || Failure::unknown_identity("this API token is not valid: `quire token` makes another");
        return credentials.token(token).await?.map(Caller::told).ok_or_else(gone);
    }
    if let Some(proxy) = config.proxy.as_ref().filter(|proxy| proxy.addresses.contains(address))
        && let Some(name) = headers.get(&proxy.header).and_then(|value| value.to_str().ok()).map(str::trim)
        && !name.is_empty()
    {
        return Ok(Caller::ambient(Identity::Known { name: name.to_owned(), via: Via::Proxy }));
    }
    if let Some(session) = cookie(headers, SESSION_COOKIE)
        && let Some(identity) = credentials.session(session).await?
    {
        return Ok(Caller::ambient(identity));
    }
    Ok(Caller::told(Identity::Anonymous))
}

/// For the record.
pub(super) fn name(identity: &Identity) -> Option<&str> {
    match identity {
        Identity::Anonymous => None,
        Identity::Known { name, .. } => Some(name),
    }
}

/// Whether `identity` may do this in a repository. Runs of no repository are the admins'.
pub(super) fn decide(
    config: &ServerConfig,
    identity: &Identity,
    action: Action,
    repo: Option<&str>,
) -> Result<(), Failure> {
    let decided = match repo {
        Some(repo) => access::decide(identity, action, repo, &config.repo(repo), &config.admins),
        None if access::is_admin(identity, &config.admins) => Ok(()),
        None => Err(Denied::Invisible),
    };
    decided.map_err(|denied| match denied {
        Denied::Invisible => Failure::not_found(
            "there is no such repository or run that you may see: open the login link that `quire serve` prints, send an API \
             token, or ask who runs this server",
        ),
        Denied::NeedsIdentity => Failure::unknown_identity(
            "this needs an identity: open the login link that `quire serve` prints, or send an API token",
        ),
        Denied::Forbidden => {
            let needed = match action {
                Action::SeeRepo | Action::ReadRun | Action::ReadLog => Role::Read,
                Action::Cancel | Action::Retry | Action::Trigger | Action::Push => Role::Run,
                Action::Administer => Role::Admin,
            };
            let needed = format!("{needed:?}").to_ascii_lowercase();
            Failure::forbidden(format!("this needs the role `{needed}` in the repository (`roles` in the configuration)"))
        }
    })
}

/// Whether a request over TCP is meant for us: a name that someone else made point here is not ours.
pub(super) fn check_host(config: &ServerConfig, headers: &HeaderMap) -> Result<(), Failure> {
    let host = text(headers, &HOST);
    match access::host_is_ours(host, &config.listen, config.url.as_deref()) {
        true => Ok(()),
        false => Err(Failure::misdirected(host.unwrap_or_default())),
    }
}

/// Whether an action is wanted by a page of ours, or by no page. What a browser sends along by itself proves nothing: then
/// it has to say where the request comes from.
pub(super) fn check_origin(
    caller: &Caller,
    config: &ServerConfig,
    method: &str,
    headers: &HeaderMap,
) -> Result<(), Failure> {
    let (origin, site) = (text(headers, &ORIGIN), text(headers, &SEC_FETCH_SITE));
    let ours = config.url.as_deref().and_then(access::host_of_url);
    let ours: Vec<&str> = ours.into_iter().collect();
    let is_told = origin.is_some() || site.is_some() || !caller.is_ambient;
    match is_told && access::same_origin(method, origin, site, text(headers, &HOST), &ours) {
        true => Ok(()),
        false => {
            Err(Failure::forbidden("this action does not come from a page of this server; scripts use an API token"))
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use quire_core::config::Proxy;

    use super::super::credentials::NoCredentials;
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_a_browser_sends_along_by_itself_needs_a_proof() {
        let config = ServerConfig { url: Some("https://ci.example.org".to_owned()), ..ServerConfig::default() };
        for (pairs, ambient, told) in [
            (&[][..], false, true),
            (&[("sec-fetch-site", "same-origin")], true, true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://ci.example.org")], false, false),
            (&[("host", "localhost:1"), ("origin", "http://localhost:1")], true, true),
            (&[("host", "localhost:1"), ("origin", "http://localhost:2")], false, false),
            (&[("host", "10.0.0.1"), ("origin", "https://ci.example.org")], true, true),
            (&[("host", "localhost"), ("origin", "null")], false, false),
        ] {
            let identity = Identity::Known { name: "ann".to_owned(), via: Via::Owner };
            for (caller, expected) in [(Caller::ambient(identity.clone()), ambient), (Caller::told(identity), told)] {
                let checked = check_origin(&caller, &config, "POST", &headers(pairs));
                assert_eq!(checked.is_ok(), expected, "{pairs:?} {caller:?}");
            }
        }
    }

    #[test]
    fn one_cookie_among_others() {
        let read = |value: &str| cookie(&headers(&[("cookie", value)]), SESSION_COOKIE).map(str::to_owned);
        assert_eq!(read("a=b; quire_session=x=y; c=d").as_deref(), Some("x=y"));
        assert_eq!(read("quire_sessions=x"), None);
        assert_eq!(bearer("Bearer  qt_1 "), Some("qt_1"));
        assert_eq!(bearer("bearer qt_1"), Some("qt_1"));
        assert_eq!(bearer("Basic qt_1"), None);
        assert_eq!(bearer("Bearer "), None);
    }

    #[test]
    fn the_proxy_is_believed_and_nobody_else() {
        let proxy = Proxy { addresses: vec!["10.0.0.1".parse().unwrap()], header: "x-forwarded-user".to_owned() };
        let config = ServerConfig { proxy: Some(proxy), ..ServerConfig::default() };
        let from = |address: &str, pairs: &[(&str, &str)]| {
            let peer = Peer::Tcp(address.parse().unwrap());
            let told = smol::block_on(identify(&NoCredentials, &config, &peer, &headers(pairs)));
            told.map(|caller| name(&caller.identity).map(str::to_owned)).map_err(|failure| failure.status.as_u16())
        };
        let ann = &[("x-forwarded-user", "ann")];
        assert_eq!(from("10.0.0.1", ann), Ok(Some("ann".to_owned())));
        assert_eq!(from("10.0.0.2", ann), Ok(None));
        assert_eq!(from("10.0.0.1", &[]), Ok(None));
        assert_eq!(from("10.0.0.1", &[("authorization", "Bearer qt_x"), ("x-forwarded-user", "ann")]), Err(401));
    }
}
