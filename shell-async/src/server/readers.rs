//! Connections that only read. Each sees whole transactions: a reader never meets half a batch, and never waits for the writer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use quire_ci::store::{Store, StoreError};

/// Connections kept open between requests.
const KEPT: usize = 4;

/// A pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    idle: Mutex<Vec<Store>>,
}

impl Readers {
    /// Of the database at `path`, which exists.
    pub fn new(path: PathBuf) -> Readers {
        Readers { inner: Arc::new(Inner { path, idle: Mutex::default() }) }
    }

    /// Asks a connection, on a thread that may wait for the disk.
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        smol::unblock(move || {
            let idle = inner.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let store = match idle {
                Some(store) => store,
                None => Store::open(&inner.path)?,
            };
            let answer = ask(&store);
            let mut idle = inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEPT {
                idle.push(store);
            }
            answer
        })
        .await
    }
}
