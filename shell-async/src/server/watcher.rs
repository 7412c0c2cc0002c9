//! What wakes those who follow files that grow: one inotify(7) descriptor for all, one event a watched folder.
//!
//! A wake-up is a hint: who follows reads the file and waits again. Where the kernel gives no more watches, and on file
//! systems that tell nothing, a look every so often takes its place.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_io::Async;
use event_listener::{Event, EventListener};
use rustix::fs::inotify;
use smol::Timer;
use smol::future::FutureExt as _;

/// How often a folder is looked at that the kernel tells nothing of.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often one is looked at all the same: what was told may be lost where too much happens at once.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);

/// Watches folders. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Absent where the kernel has no inotify.
    kernel: Option<Async<OwnedFd>>,
    folders: Mutex<Folders>,
}

#[derive(Debug, Default)]
struct Folders {
    by_path: HashMap<PathBuf, Weak<Folder>>,
    by_watch: HashMap<i32, Weak<Folder>>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    watch: Option<i32>,
    changed: Event,
    watcher: Weak<Inner>,
}

/// One who wants to know that something in a folder has changed.
#[derive(Debug)]
pub struct Watch {
    folder: Arc<Folder>,
    next: EventListener,
}

impl Watcher {
    /// Starts to watch nothing yet.
    pub fn new() -> Watcher {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let kernel = inotify::init(flags).ok().and_then(|fd| Async::new(fd).ok());
        let watcher = Watcher { inner: Arc::new(Inner { kernel, folders: Mutex::default() }) };
        let inner = Arc::downgrade(&watcher.inner);
        smol::spawn(async move { while listen(&inner).await.is_some() {} }).detach();
        watcher
    }

    /// Wakes those who watch this folder: something that they look at besides has changed.
    pub fn poke(&self, folder: &Path) {
        let folder = self.inner.lock().by_path.get(folder).and_then(Weak::upgrade);
        if let Some(folder) = folder {
            folder.changed.notify(usize::MAX);
        }
    }

    /// Watches the files directly in a folder. What changes from now on wakes [`Watch::changed`].
    pub fn watch(&self, folder: &Path) -> Watch {
        let mut folders = self.inner.lock();
        let known = folders.by_path.get(folder).and_then(Weak::upgrade);
        let folder = known.unwrap_or_else(|| {
            let watch = self.inner.kernel.as_ref().and_then(|kernel| {
                let wanted = inotify::WatchFlags::MODIFY
                    | inotify::WatchFlags::CREATE
                    | inotify::WatchFlags::MOVED_TO
                    | inotify::WatchFlags::ONLYDIR;
                inotify::add_watch(kernel.get_ref(), folder, wanted).ok()
            });
            let made = Arc::new(Folder {
                path: folder.to_owned(),
                watch,
                changed: Event::new(),
                watcher: Arc::downgrade(&self.inner),
            });
            folders.by_path.insert(folder.to_owned(), Arc::downgrade(&made));
            if let Some(watch) = watch {
                folders.by_watch.insert(watch, Arc::downgrade(&made));
            }
            made
        });
        let next = folder.changed.listen();
        Watch { folder, next }
    }
}

impl Default for Watcher {
    fn default() -> Watcher {
        Watcher::new()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Folders> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let Some(inner) = self.watcher.upgrade() else { return };
        let mut folders = inner.lock();
        // Another may have taken its place meanwhile.
        if folders.by_path.get(&self.path).is_some_and(|folder| folder.strong_count() == 0) {
            folders.by_path.remove(&self.path);
            if let Some(watch) = self.watch {
                folders.by_watch.remove(&watch);
                if let Some(kernel) = &inner.kernel {
                    // The folder itself may be gone, and its watch with it.
                    let _ = inotify::remove_watch(kernel.get_ref(), watch);
                }
            }
        }
    }
}

impl Watch {
    /// Waits until something in the folder has changed since the last call (or since it was watched), or might have.
    pub async fn changed(&mut self) {
        let at_most = if self.folder.watch.is_some() { LOOK_ANYWAY } else { LOOK_EVERY };
        let next = std::mem::replace(&mut self.next, self.folder.changed.listen());
        next.or(async {
            Timer::after(at_most).await;
        })
        .await;
    }
}

/// Reads what the kernel tells and wakes who waits for it; `None` once nobody watches any more.
async fn listen(inner: &Weak<Inner>) -> Option<()> {
    let mut room = [MaybeUninit::uninit(); 4096];
    // Held across the wait: the task is detached and ends with the process.
    let inner = inner.upgrade()?;
    let kernel = inner.kernel.as_ref()?;
    kernel.readable().await.ok()?;
    let mut told = inotify::Reader::new(kernel.get_ref(), &mut room);
    let mut woken = Vec::new();
    loop {
        match told.next() {
            Ok(event) => woken.push((event.wd(), event.events())),
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => break,
        }
    }
    // Woken after the lock is given back: the last holder of a folder takes it again.
    let changed: Vec<Arc<Folder>> = {
        let folders = inner.lock();
        match woken.iter().any(|(_, events)| events.contains(inotify::ReadFlags::QUEUE_OVERFLOW)) {
            true => folders.by_watch.values().filter_map(Weak::upgrade).collect(),
            false => woken.iter().filter_map(|(watch, _)| folders.by_watch.get(watch)?.upgrade()).collect(),
        }
    };
    for folder in changed {
        folder.changed.notify(usize::MAX);
    }
    Some(())
}
