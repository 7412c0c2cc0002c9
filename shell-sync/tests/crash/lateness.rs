//! How late this machine is: a thread that wants to write a byte every few milliseconds and notes when it could not. A promise
//! in wall-clock time is kept by a program that runs; this tells how long none could, on processors and disk shared with others.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(5);
/// For so long a lateness is remembered.
const REMEMBERED: Duration = Duration::from_secs(3);

/// Watches from its making until it is dropped.
pub struct Lateness {
    seen: Arc<Mutex<VecDeque<(Instant, Duration)>>>,
}

impl Lateness {
    /// Of the processors, and of the disk that temporary files are on.
    pub fn watch() -> Lateness {
        let seen = Arc::new(Mutex::new(VecDeque::new()));
        let watched = Arc::downgrade(&seen);
        let mut file: File = tempfile::tempfile().unwrap();
        std::thread::spawn(move || {
            while let Some(seen) = watched.upgrade() {
                let begun = Instant::now();
                std::thread::sleep(EVERY);
                file.write_all(b".").unwrap();
                let now = Instant::now();
                let mut seen = seen.lock().unwrap();
                seen.push_back((now, now.duration_since(begun).saturating_sub(EVERY)));
                while seen.front().is_some_and(|(at, _)| now.duration_since(*at) > REMEMBERED) {
                    seen.pop_front();
                }
            }
        });
        Lateness { seen }
    }

    /// The worst of the last three seconds.
    pub fn worst(&self) -> Duration {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(_, late)| *late).max().unwrap_or_default()
    }
}
