//! Tokens, sessions and login links: as the database knows them.

use std::fmt;
use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use quire_ci::clock;
use quire_ci::store::{GroupWriter, Hashed, StoreError};
use quire_core::access::{Identity, TokenScope, Via};
use quire_core::config::Role;
use smol::channel;

use super::access;
use crate::server::Readers;

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(7 * 86_400);
/// A token's last use is noted again after this long.
const TOUCHED_MS: i64 = 5 * 60_000;

/// A session that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Value of the cookie.
    pub session: String,
    /// How long it lasts.
    pub lasts: Duration,
}

/// What a question to [`Credentials`] gives, later.
pub type Told<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Who knows tokens, sessions and login links.
pub trait Credentials: fmt::Debug + Send + Sync {
    /// Whose API token this is.
    fn token<'a>(&'a self, token: &'a str) -> Told<'a, Option<Identity>>;
    /// Whose session this is.
    fn session<'a>(&'a self, session: &'a str) -> Told<'a, Option<Identity>>;
    /// Uses up a login link.
    fn sign_in<'a>(&'a self, link: &'a str) -> Told<'a, Option<SignedIn>>;
}

/// Knows none.
#[derive(Debug, Clone, Copy)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn token<'a>(&'a self, _: &'a str) -> Told<'a, Option<Identity>> {
        Box::pin(future::ready(Ok(None)))
    }

    fn session<'a>(&'a self, _: &'a str) -> Told<'a, Option<Identity>> {
        Box::pin(future::ready(Ok(None)))
    }

    fn sign_in<'a>(&'a self, _: &'a str) -> Told<'a, Option<SignedIn>> {
        Box::pin(future::ready(Ok(None)))
    }
}

/// Those in the database.
pub struct StoredCredentials {
    readers: Readers,
    writer: Arc<GroupWriter>,
    /// The server's own user: its sessions may what it may over the socket.
    owner: String,
}

impl StoredCredentials {
    /// Read there, written there.
    pub fn new(readers: Readers, writer: Arc<GroupWriter>) -> StoredCredentials {
        StoredCredentials { readers, writer, owner: own_name() }
    }
}

impl fmt::Debug for StoredCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCredentials").finish_non_exhaustive()
    }
}

impl Credentials for StoredCredentials {
    fn token<'a>(&'a self, token: &'a str) -> Told<'a, Option<Identity>> {
        Box::pin(async move {
            let (hash, now_ms) = (Hashed::of(token), clock::now().wall.ms());
            let Some(found) = self.readers.ask(move |store| store.token(&hash, now_ms)).await? else { return Ok(None) };
            if found.last_used_at_ms.is_none_or(|used| used + TOUCHED_MS < now_ms) {
                // Nobody waits for a note.
                self.writer.write(move |writing| writing.touch_token(found.id, now_ms), drop);
            }
            // A word of a later version gives nothing.
            let Some(role) = role(&found.role) else { return Ok(None) };
            let via = Via::Token(TokenScope { repos: found.repos, role });
            Ok(Some(Identity::Known { name: found.identity, via }))
        })
    }

    fn session<'a>(&'a self, session: &'a str) -> Told<'a, Option<Identity>> {
        Box::pin(async move {
            let (hash, now_ms) = (Hashed::of(session), clock::now().wall.ms());
            let name = self.readers.ask(move |store| store.session(&hash, now_ms)).await?;
            let via = |name: &str| if name == self.owner { Via::Owner } else { Via::Session };
            Ok(name.map(|name| Identity::Known { via: via(&name), name }))
        })
    }

    fn sign_in<'a>(&'a self, link: &'a str) -> Told<'a, Option<SignedIn>> {
        Box::pin(async move {
            let (link, now_ms) = (Hashed::of(link), clock::now().wall.ms());
            // Without randomness there is no session.
            let Some(session) = random() else { return Ok(None) };
            let hash = Hashed::of(&session);
            let (reply, answer) = channel::bounded(1);
            self.writer.write(
                move |writing| {
                    let Some(name) = writing.consume_login(&link, now_ms)? else { return Ok(false) };
                    let lasts_ms = i64::try_from(SESSION.as_millis()).unwrap_or(i64::MAX);
                    writing.create_session(&hash, &name, now_ms, now_ms.saturating_add(lasts_ms))?;
                    Ok(true)
                },
                move |answer| {
                    let _ = reply.try_send(answer);
                },
            );
            let is_in = answer.recv().await.unwrap_or(Ok(false))?;
            Ok(is_in.then_some(SignedIn { session, lasts: SESSION }))
        })
    }
}

/// The name of the user whose server this is: for whom it prints its login link.
pub fn own_name() -> String {
    access::user_name(rustix::process::geteuid().as_raw())
}

fn role(word: &str) -> Option<Role> {
    match word {
        "read" => Some(Role::Read),
        "run" => Some(Role::Run),
        "admin" => Some(Role::Admin),
        _ => None,
    }
}

/// A new secret of 256 bits, in hexadecimal; `None` where this machine has no randomness.
pub fn random() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use quire_ci::store::{NewToken, Store};

    use super::*;

    #[test]
    fn a_link_lets_in_once_and_a_token_says_what_it_may() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quire.db");
        let mut store = Store::open(&path).unwrap();
        let now_ms = clock::now().wall.ms();
        let token = NewToken {
            name: "bot".to_owned(),
            hash: Hashed::of("qt_secret"),
            identity: "robot".to_owned(),
            role: "run".to_owned(),
            repos: vec!["work/*".to_owned()],
            created_at_ms: now_ms,
            expires_at_ms: None,
        };
        store.write(|writing| writing.create_token(&token)).unwrap();
        store.write(|writing| writing.create_login(&Hashed::of("link"), "ann", now_ms, now_ms + 60_000)).unwrap();
        store.write(|writing| writing.create_login(&Hashed::of("own"), &own_name(), now_ms, now_ms + 60_000)).unwrap();
        let writer = Arc::new(GroupWriter::start(&path).unwrap());
        let known = StoredCredentials::new(Readers::new(path), Arc::clone(&writer));
        smol::block_on(async {
            let scope = TokenScope { repos: vec!["work/*".to_owned()], role: Role::Run };
            let robot = Identity::Known { name: "robot".to_owned(), via: Via::Token(scope) };
            assert_eq!(known.token("qt_secret").await.unwrap(), Some(robot));
            assert_eq!(known.token("qt_other").await.unwrap(), None);
            let signed_in = known.sign_in("link").await.unwrap().unwrap();
            assert_eq!(known.sign_in("link").await.unwrap(), None);
            let ann = Identity::Known { name: "ann".to_owned(), via: Via::Session };
            assert_eq!(known.session(&signed_in.session).await.unwrap(), Some(ann));
            assert_eq!(known.session("other").await.unwrap(), None);
            let signed_in = known.sign_in("own").await.unwrap().unwrap();
            let owner = Identity::Known { name: own_name(), via: Via::Owner };
            assert_eq!(known.session(&signed_in.session).await.unwrap(), Some(owner));
        });
        writer.stop();
    }
}
