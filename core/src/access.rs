//! Who may do what: identities and actions, and whether a browser's request comes from quire's own pages.
//!
//! A shell finds out who asks (a peer of the socket, a token, a session, a trusted proxy's header); what that one may do is said
//! here and nowhere else.

mod origin;

use std::collections::BTreeSet;

use crate::config::{RepoConfig, Role, matches};

pub use origin::{host_is_ours, host_of_url, same_origin};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// Somebody.
    Known {
        /// As roles and admins name it, and as records show it.
        name: String,
        /// How that is known.
        via: Via,
    },
}

/// How an identity is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// The socket: a process of the server's own user, or of root. Admin of everything.
    Owner,
    /// The socket: a process of another user, who may use it to push. Beyond that it is shown what everyone is.
    Group,
    /// An API token: what its name may, within the token's bounds.
    Token(TokenScope),
    /// A session of a browser. It began with the login link which the server printed for who runs it: admin of everything.
    Session,
    /// A trusted proxy's header: what its name may.
    Proxy,
}

/// The bounds of a token. It never gives more than its name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenScope {
    /// Patterns of repository names, `*` matches any run of characters; empty: all.
    pub repos: Vec<String>,
    /// At most this.
    pub role: Role,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Learn that the repository is there.
    SeeRepo,
    /// Its runs: their states, jobs and commands.
    ReadRun,
    /// What runs say: logs and events.
    ReadLog,
    /// End a run.
    Cancel,
    /// Run an ended run again.
    Retry,
    /// Run a commit.
    Trigger,
    /// Tell of a push.
    Push,
    /// All else.
    Administer,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Somebody might, nobody in particular may not.
    NeedsIdentity,
    /// This one may not.
    Forbidden,
    /// This one may not learn that the repository is there: answer as if it were not.
    Invisible,
}

/// May this identity do this in this repository? `admins` are those of the whole server.
pub fn decide(
    identity: &Identity,
    action: Action,
    repo_name: &str,
    repo: &RepoConfig,
    admins: &BTreeSet<String>,
) -> Result<(), Denied> {
    let role = role(identity, repo_name, repo, admins);
    let (is_anonymous, is_group) = match identity {
        Identity::Anonymous => (true, false),
        Identity::Known { via, .. } => (false, *via == Via::Group),
    };
    let is_allowed = match action {
        Action::SeeRepo | Action::ReadRun => repo.public || role >= Some(Role::Read),
        Action::ReadLog => role >= Some(Role::Read) || (repo.public && (repo.open_logs || !(is_anonymous || is_group))),
        Action::Push => is_group || role >= Some(Role::Run),
        Action::Cancel | Action::Retry | Action::Trigger => role >= Some(Role::Run),
        Action::Administer => role >= Some(Role::Admin),
    };
    match is_allowed {
        true => Ok(()),
        false if !repo.public && role.is_none() => Err(Denied::Invisible),
        false if is_anonymous => Err(Denied::NeedsIdentity),
        false => Err(Denied::Forbidden),
    }
}

/// What the identity is in this repository; `None`: what everyone is.
fn role(identity: &Identity, repo_name: &str, repo: &RepoConfig, admins: &BTreeSet<String>) -> Option<Role> {
    let Identity::Known { name, via } = identity else { return None };
    let given = || if admins.contains(name) { Some(Role::Admin) } else { repo.roles.get(name).copied() };
    match via {
        Via::Owner | Via::Session => Some(Role::Admin),
        Via::Group => None,
        Via::Token(scope) if scope.covers(repo_name) => given().map(|role| role.min(scope.role)),
        Via::Token(_) => None,
        Via::Proxy => given(),
    }
}

/// Is this identity admin of the whole server: may it do what concerns no repository, or one that is gone?
pub fn is_admin(identity: &Identity, admins: &BTreeSet<String>) -> bool {
    let Identity::Known { name, via } = identity else { return false };
    match via {
        Via::Owner | Via::Session => true,
        Via::Group => false,
        Via::Token(scope) => scope.role == Role::Admin && scope.repos.is_empty() && admins.contains(name),
        Via::Proxy => admins.contains(name),
    }
}

impl TokenScope {
    fn covers(&self, repo_name: &str) -> bool {
        self.repos.is_empty() || self.repos.iter().any(|pattern| matches(pattern, repo_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIONS: [Action; 8] = [
        Action::SeeRepo,
        Action::ReadRun,
        Action::ReadLog,
        Action::Cancel,
        Action::Retry,
        Action::Trigger,
        Action::Push,
        Action::Administer,
    ];

    fn known(name: &str, via: Via) -> Identity {
        Identity::Known { name: name.to_owned(), via }
    }

    fn token(name: &str, repos: &[&str], role: Role) -> Identity {
        let repos = repos.iter().map(|pattern| (*pattern).to_owned()).collect();
        known(name, Via::Token(TokenScope { repos, role }))
    }

    fn repo(public: bool, open_logs: bool) -> RepoConfig {
        let roles = [("reader", Role::Read), ("runner", Role::Run), ("master", Role::Admin)];
        let roles = roles.into_iter().map(|(name, role)| (name.to_owned(), role)).collect();
        RepoConfig { public, open_logs, roles, ..RepoConfig::default() }
    }

    /// Every identity, every action, in a private repository, a public one, and a public one whose logs are open (a private one
    /// whose logs are open is like a private one). One letter an action, in the order of [`ACTIONS`]: `y` yes, `i` needs an
    /// identity, `f` forbidden, `.` invisible.
    #[test]
    fn every_identity_every_action_every_repository() {
        let all = "yyyyyyyy";
        let table = [
            (Identity::Anonymous, "........", "yyiiiiii", "yyyiiiii"),
            (known("ann", Via::Owner), all, all, all),
            // A pusher has no other rights, whatever its name.
            (known("ann", Via::Group), "......y.", "yyffffyf", "yyyfffyf"),
            (known("master", Via::Group), "......y.", "yyffffyf", "yyyfffyf"),
            (known("boss", Via::Group), "......y.", "yyffffyf", "yyyfffyf"),
            (known("ann", Via::Proxy), "........", "yyyfffff", "yyyfffff"),
            (known("reader", Via::Proxy), "yyyfffff", "yyyfffff", "yyyfffff"),
            (known("runner", Via::Proxy), "yyyyyyyf", "yyyyyyyf", "yyyyyyyf"),
            (known("master", Via::Proxy), all, all, all),
            (known("boss", Via::Proxy), all, all, all),
            (known("ann", Via::Session), all, all, all),
            // A token gives what its name has, within its bounds.
            (token("ann", &[], Role::Admin), "........", "yyyfffff", "yyyfffff"),
            (token("reader", &[], Role::Admin), "yyyfffff", "yyyfffff", "yyyfffff"),
            (token("runner", &[], Role::Admin), "yyyyyyyf", "yyyyyyyf", "yyyyyyyf"),
            (token("boss", &[], Role::Admin), all, all, all),
            (token("boss", &[], Role::Read), "yyyfffff", "yyyfffff", "yyyfffff"),
            (token("boss", &["home/*", "work/*"], Role::Run), "yyyyyyyf", "yyyyyyyf", "yyyyyyyf"),
            (token("master", &["work/foo.git"], Role::Admin), all, all, all),
            (token("boss", &["home/*"], Role::Admin), "........", "yyyfffff", "yyyfffff"),
        ];
        let admins = BTreeSet::from(["boss".to_owned()]);
        for (identity, private, public, open) in table {
            for (repo, expected) in [
                (repo(false, false), private),
                (repo(false, true), private),
                (repo(true, false), public),
                (repo(true, true), open),
            ] {
                let told = ACTIONS.map(|action| match decide(&identity, action, "work/foo.git", &repo, &admins) {
                    Ok(()) => 'y',
                    Err(Denied::NeedsIdentity) => 'i',
                    Err(Denied::Forbidden) => 'f',
                    Err(Denied::Invisible) => '.',
                });
                let told: String = told.into_iter().collect();
                assert_eq!(told, expected, "{identity:?} public {} open {}", repo.public, repo.open_logs);
            }
        }
    }

    #[test]
    fn admins_of_the_server() {
        let admins = BTreeSet::from(["boss".to_owned()]);
        for (identity, expected) in [
            (Identity::Anonymous, false),
            (known("ann", Via::Owner), true),
            (known("boss", Via::Group), false),
            (known("ann", Via::Session), true),
            (known("boss", Via::Proxy), true),
            (known("ann", Via::Proxy), false),
            (token("boss", &[], Role::Admin), true),
            (token("ann", &[], Role::Admin), false),
            (token("boss", &[], Role::Run), false),
            (token("boss", &["*"], Role::Admin), false),
        ] {
            assert_eq!(is_admin(&identity, &admins), expected, "{identity:?}");
        }
    }
}
