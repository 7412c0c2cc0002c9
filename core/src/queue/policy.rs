//! What a server is told about its bounds and its repositories, as far as the queue cares.

/// Bounds of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most runs at once, at least 1.
    pub max_runs: u32,
    /// Nothing is dispatched while less than this is free where runs are recorded, in bytes.
    pub min_free_bytes: u64,
}

/// What a newer push of a ref does to older runs of it. Tags are never superseded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Supersede {
    /// Nothing: every push runs.
    Off,
    /// It takes the place of what waits; off the default branch it also ends what runs.
    #[default]
    Queued,
}

/// How the queue treats a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepoPolicy {
    /// What newer pushes do to older runs.
    pub supersede: Supersede,
    /// Most runs of it at once; `None`: as many as the server allows.
    pub max_runs: Option<u32>,
}
