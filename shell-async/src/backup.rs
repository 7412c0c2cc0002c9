//! Backups of a data directory while its server runs, and putting one back.
//!
//! The database is copied first, from one snapshot; the run directories after it. Files of a run only grow, so a copy is a
//! beginning of each; what the streams know and the copied database does not is read into its rows at the next start. What was
//! copied before and has not changed is not copied again.

use std::fs::{self, DirBuilder, File, FileTimes};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use quire_ci::cli::CliError;
use quire_ci::record::DataDir;
use quire_ci::store::Store;

/// Folders of a run directory that are no record.
const NO_RECORD: &[&str] = &["workspace"];
/// What is copied besides the database and the runs.
const CONFIGURATION: &[&str] = &["config.lua", "config.fnl"];

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Run directories looked at.
    pub runs: u64,
    /// Files that were new or had changed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Copies the data directory `data` into `into`, which is made, or brought up to date.
///
/// # Errors
/// Where something cannot be read or written: which, and why. What was copied before that stays, and is not copied again.
pub fn back_up(data: &Path, into: &Path) -> Result<Copied, CliError> {
    if !data.join("quire.db").is_file() {
        let error = CliError::usage("there is nothing to back up: it holds no quire.db").at(data.display());
        return Err(error.help("name the server's data directory: --data-dir DIR"));
    }
    make_folder(into)?;
    if inside(into, data) {
        return Err(CliError::usage("a backup cannot be put into what it is a backup of").at(into.display()));
    }
    let mut copied = Copied::default();
    let store = Store::open(&data.join("quire.db"))?;
    let unborn = into.join("quire.db.new");
    remove(&unborn)?;
    store.snapshot(&unborn)?;
    rename(&unborn, &into.join("quire.db"))?;
    for name in CONFIGURATION {
        if data.join(name).is_file() {
            copy_file(&data.join(name), &into.join(name), &mut copied)?;
        }
    }
    copy_folder(&data.join("spool"), &into.join("spool"), &[], &mut copied)?;
    let runs = DataDir::open(data)?;
    make_folder(&into.join("runs"))?;
    for run_id in runs.run_ids()? {
        copied.runs += 1;
        let from = runs.run(&run_id)?;
        copy_folder(from.path(), &into.join("runs").join(run_id.as_str()), NO_RECORD, &mut copied)?;
    }
    sync(into)?;
    Ok(copied)
}

/// Makes a data directory of a backup.
///
/// # Errors
/// Where `data` holds anything of quire's already, or something cannot be read or written.
pub fn restore(backup: &Path, data: &Path) -> Result<Copied, CliError> {
    if !backup.join("quire.db").is_file() {
        return Err(CliError::usage("it is no backup: it holds no quire.db").at(backup.display()));
    }
    for name in ["quire.db", "runs"] {
        let there = data.join(name);
        let is_empty = fs::read_dir(&there).map(|mut entries| entries.next().is_none()).unwrap_or(false);
        if fs::symlink_metadata(&there).is_ok() && !is_empty {
            return Err(CliError::usage(format!("it holds {name} already; nothing was restored"))
                .at(data.display())
                .help("restore into a new directory, and move that to its place"));
        }
    }
    make_folder(data)?;
    let mut copied = Copied::default();
    copy_folder(&backup.join("spool"), &data.join("spool"), &[], &mut copied)?;
    make_folder(&data.join("runs"))?;
    for entry in entries(&backup.join("runs"))? {
        copied.runs += 1;
        copy_folder(&entry, &data.join("runs").join(entry.file_name().unwrap_or_default()), NO_RECORD, &mut copied)?;
    }
    for name in CONFIGURATION {
        if backup.join(name).is_file() {
            copy_file(&backup.join(name), &data.join(name), &mut copied)?;
        }
    }
    // Last: with it the directory is whole.
    copy_file(&backup.join("quire.db"), &data.join("quire.db"), &mut copied)?;
    sync(data)?;
    Ok(copied)
}

fn copy_folder(from: &Path, to: &Path, without: &[&str], copied: &mut Copied) -> Result<(), CliError> {
    if !from.is_dir() {
        return Ok(());
    }
    make_folder(to)?;
    for entry in entries(from)? {
        let Some(name) = entry.file_name() else { continue };
        if without.iter().any(|without| name == *without) {
            continue;
        }
        let meta = match fs::symlink_metadata(&entry) {
            Ok(meta) => meta,
            // A spooled push that was taken in meanwhile, a log that retention removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(cannot("read", &entry, &error)),
        };
        if meta.is_dir() {
            copy_folder(&entry, &to.join(name), &[], copied)?;
        } else if meta.is_file() {
            copy_file(&entry, &to.join(name), copied)?;
        }
    }
    Ok(())
}

/// Copies a file unless it is there already, as long and as old.
fn copy_file(from: &Path, to: &Path, copied: &mut Copied) -> Result<(), CliError> {
    let read = |error: &io::Error| cannot("read", from, error);
    let mut file = match File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(read(&error)),
    };
    let meta = file.metadata().map_err(|error| read(&error))?;
    let modified = meta.modified().map_err(|error| read(&error))?;
    let is_same =
        |there: fs::Metadata| there.len() == meta.len() && there.modified().is_ok_and(|time| time == modified);
    if fs::metadata(to).is_ok_and(is_same) {
        return Ok(());
    }
    let mut name = to.as_os_str().to_owned();
    name.push(".new");
    let unborn = PathBuf::from(name);
    let write = |error: &io::Error| cannot("write", &unborn, error);
    let mut out = File::create(&unborn).map_err(|error| write(&error))?;
    // What it grows by meanwhile is the next backup's.
    let bytes = copy_bytes(&mut file, &mut out, meta.len()).map_err(|error| write(&error))?;
    out.set_permissions(meta.permissions()).map_err(|error| write(&error))?;
    out.set_times(FileTimes::new().set_modified(modified)).map_err(|error| write(&error))?;
    drop(out);
    rename(&unborn, to)?;
    copied.files += 1;
    copied.bytes += bytes;
    Ok(())
}

fn copy_bytes(from: &mut impl Read, to: &mut File, most: u64) -> io::Result<u64> {
    let bytes = io::copy(&mut from.take(most), to)?;
    to.flush()?;
    Ok(bytes)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let mut listed = listed.map_err(|error| cannot("read", folder, &error))?;
    listed.sort();
    Ok(listed)
}

fn make_folder(path: &Path) -> Result<(), CliError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| cannot("make", path, &error))
}

fn rename(from: &Path, to: &Path) -> Result<(), CliError> {
    fs::rename(from, to).map_err(|error| cannot("write", to, &error))
}

fn remove(path: &Path) -> Result<(), CliError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Waits until the file system that holds `folder` has written everything: one call for thousands of files.
fn sync(folder: &Path) -> Result<(), CliError> {
    let synced = File::open(folder).and_then(|folder| Ok(rustix::fs::syncfs(&folder)?));
    synced.map_err(|error| cannot("sync", folder, &error))
}

fn inside(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> CliError {
    CliError::machine(format!("cannot {verb} it: {error}")).at(path.display())
}
