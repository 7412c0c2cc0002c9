//! Who may ask a server: API tokens, sessions of browsers, one-time login links. Only hashes are kept, and only hashes can be
//! asked for: a secret in clear text never comes here.

use std::fmt;

use rusqlite::{OptionalExtension, Row};
use sha2::{Digest, Sha256};

use super::queue::{json, to_json};
use super::{Store, StoreError, Writing};

/// The SHA-256 of a token, a session's cookie or a login link's word. Those are long and random, so one pass is enough.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hashed(String);

impl Hashed {
    /// Of the secret in clear text.
    pub fn of(clear: &str) -> Hashed {
        Hashed(Sha256::digest(clear.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hashed({})", &self.0)
    }
}

/// A token that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// For people; one of a kind.
    pub name: String,
    /// Its hash.
    pub hash: Hashed,
    /// Whom it speaks for.
    pub identity: String,
    /// The most it may do.
    pub role: String,
    /// Names and patterns of repositories; empty for all.
    pub repos: Vec<String>,
    /// Unix milliseconds.
    pub created_at_ms: i64,
    /// Unix milliseconds; `None` for never.
    pub expires_at_ms: Option<i64>,
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Given once.
    pub id: i64,
    /// For people.
    pub name: String,
    /// Whom it speaks for.
    pub identity: String,
    /// The most it may do.
    pub role: String,
    /// Names and patterns of repositories; empty for all.
    pub repos: Vec<String>,
    /// Unix milliseconds.
    pub created_at_ms: i64,
    /// Unix milliseconds, some minutes behind.
    pub last_used_at_ms: Option<i64>,
    /// Unix milliseconds; `None` for never.
    pub expires_at_ms: Option<i64>,
}

impl Writing<'_> {
    /// Creates a token; `None` if there is one of this name.
    pub fn create_token(&mut self, token: &NewToken) -> Result<Option<i64>, StoreError> {
        self.run(|conn| {
            let repos = to_json(&token.repos)?;
            conn.prepare_cached(
                "INSERT INTO tokens (name, hash, identity, role, repos, created_at_ms, expires_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name) DO NOTHING RETURNING id",
            )?
            .query_row(
                (
                    &token.name,
                    token.hash.as_str(),
                    &token.identity,
                    &token.role,
                    repos,
                    token.created_at_ms,
                    token.expires_at_ms,
                ),
                |row| row.get(0),
            )
            .optional()
        })
    }

    /// Removes the token of this name; false if there is none.
    pub fn remove_token(&mut self, name: &str) -> Result<bool, StoreError> {
        self.run(|conn| Ok(conn.execute("DELETE FROM tokens WHERE name = ?1", [name])? > 0))
    }

    /// Notes that a token was used.
    pub fn touch_token(&mut self, id: i64, at_ms: i64) -> Result<(), StoreError> {
        self.run(|conn| {
            conn.prepare_cached(
                "UPDATE tokens SET last_used_at_ms = max(?2, coalesce(last_used_at_ms, 0)) WHERE id = ?1",
            )?
            .execute((id, at_ms))
            .map(drop)
        })
    }

    /// Begins a session, and forgets those that are over.
    pub fn create_session(
        &mut self,
        session: &Hashed,
        identity: &str,
        now_ms: i64,
        expires_at_ms: i64,
    ) -> Result<(), StoreError> {
        self.run(|conn| {
            conn.execute("DELETE FROM sessions WHERE expires_at_ms <= ?1", [now_ms])?;
            conn.execute(
                "INSERT INTO sessions (hash, identity, created_at_ms, expires_at_ms) VALUES (?1, ?2, ?3, ?4)",
                (session.as_str(), identity, now_ms, expires_at_ms),
            )
            .map(drop)
        })
    }

    /// Ends a session; false if there is none.
    pub fn remove_session(&mut self, session: &Hashed) -> Result<bool, StoreError> {
        self.run(|conn| Ok(conn.execute("DELETE FROM sessions WHERE hash = ?1", [session.as_str()])? > 0))
    }

    /// Makes a one-time login link for `identity`, and forgets those that are over.
    pub fn create_login(
        &mut self,
        login: &Hashed,
        identity: &str,
        now_ms: i64,
        expires_at_ms: i64,
    ) -> Result<(), StoreError> {
        self.run(|conn| {
            conn.execute("DELETE FROM logins WHERE expires_at_ms <= ?1", [now_ms])?;
            conn.execute(
                "INSERT INTO logins (hash, identity, expires_at_ms) VALUES (?1, ?2, ?3)",
                (login.as_str(), identity, expires_at_ms),
            )
            .map(drop)
        })
    }

    /// Uses a login link up: whom it lets in. `None` if there is no such link, if it was used, or if it is over.
    pub fn consume_login(&mut self, login: &Hashed, now_ms: i64) -> Result<Option<String>, StoreError> {
        let used: Option<(String, i64)> = self.run(|conn| {
            conn.prepare_cached("DELETE FROM logins WHERE hash = ?1 RETURNING identity, expires_at_ms")?
                .query_row([login.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })?;
        Ok(used.filter(|(_, expires_at_ms)| *expires_at_ms > now_ms).map(|(identity, _)| identity))
    }
}

const TOKEN_COLUMNS: &str = "id, name, identity, role, repos, created_at_ms, last_used_at_ms, expires_at_ms";

impl Store {
    /// The token of this hash, unless it is over.
    pub fn token(&self, hash: &Hashed, now_ms: i64) -> Result<Option<TokenRecord>, StoreError> {
        let sql = format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens WHERE hash = ?1 AND (expires_at_ms IS NULL OR expires_at_ms > ?2)"
        );
        Ok(self.rows(&sql, (hash.as_str(), now_ms), token_record)?.pop())
    }

    /// All tokens, also those that are over, by name.
    pub fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.rows(&format!("SELECT {TOKEN_COLUMNS} FROM tokens ORDER BY name"), [], token_record)
    }

    /// Whose session this is, unless it is over.
    pub fn session(&self, session: &Hashed, now_ms: i64) -> Result<Option<String>, StoreError> {
        let found = self.rows(
            "SELECT identity FROM sessions WHERE hash = ?1 AND expires_at_ms > ?2",
            (session.as_str(), now_ms),
            |row| row.get(0),
        )?;
        Ok(found.into_iter().next())
    }
}

fn token_record(row: &Row<'_>) -> rusqlite::Result<TokenRecord> {
    Ok(TokenRecord {
        id: row.get(0)?,
        name: row.get(1)?,
        identity: row.get(2)?,
        role: row.get(3)?,
        repos: json(row, 4)?,
        created_at_ms: row.get(5)?,
        last_used_at_ms: row.get(6)?,
        expires_at_ms: row.get(7)?,
    })
}
