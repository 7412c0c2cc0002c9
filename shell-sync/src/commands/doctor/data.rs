//! Where runs are recorded: the folder, its file system, the database.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::super::prune::size;
use super::Finding;
use crate::cli::Context;
use crate::record::DataDir;
use crate::store::RunFilter;
use crate::workspace::Workspace;

/// Below this much free space a long run may not end, in bytes.
const LITTLE_SPACE: u64 = 500_000_000;

/// Looks without making anything: a folder that is not there yet is judged by the nearest one above it.
pub(super) fn look(context: &Context, workspace: Option<&Workspace>) -> Vec<Finding> {
    let path = match (&context.data_dir, workspace) {
        (Some(path), _) => path.clone(),
        (None, Some(workspace)) => match DataDir::default_path(&workspace.root) {
            Ok(path) => path,
            Err(error) => return vec![Finding::fail(format!("records: {error}"), "set HOME, or give --data-dir DIR")],
        },
        (None, None) => return Vec::new(),
    };
    let mut findings = vec![folder(&path)];
    findings.extend(space(&nearest(&path)));
    if path.join("quire.db").exists() {
        findings.push(database(&path));
    }
    findings
}

/// The folder itself, or the nearest above that exists.
fn nearest(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn folder(path: &Path) -> Finding {
    let help = "correct its rights, or name another folder with --data-dir or QUIRE_DATA";
    let there = nearest(path);
    if let Err(error) = try_writing(&there) {
        return Finding::fail(format!("records: {} cannot be written: {error}", there.display()), help);
    }
    match path.exists() {
        true => Finding::ok(format!("records: {}", path.display())),
        false => Finding::ok(format!("records: {}, which the first run makes", path.display())),
    }
}

/// Makes a file in a folder and removes it.
fn try_writing(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".quire-doctor-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(probe)
}

fn space(folder: &Path) -> Vec<Finding> {
    let Ok(stat) = rustix::fs::statvfs(folder) else { return Vec::new() };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let kind = file_system(folder);
    let name = kind.map_or("file system", |(name, _)| name);
    let mut findings = Vec::new();
    let what = format!("disk: {name}, {} free", size(free));
    findings.push(match free < LITTLE_SPACE {
        true => Finding::warn(
            what,
            "a run whose record cannot be written fails: free some space, or remove old runs with prune",
        ),
        false => Finding::ok(what),
    });
    if let Some((name, true)) = kind {
        findings.push(Finding::warn(
            format!("disk: {name} is a network file system"),
            "SQLite's locks do not hold there when two machines write: name a local folder with --data-dir",
        ));
    }
    findings
}

/// Name of the file system, and whether it is one of a network. Magic numbers: statfs(2).
#[cfg(target_os = "linux")]
fn file_system(folder: &Path) -> Option<(&'static str, bool)> {
    let magic = rustix::fs::statfs(folder).ok()?.f_type;
    Some(match u32::try_from(magic & 0xffff_ffff).ok()? {
        0xef53 => ("ext4", false),
        0x5846_5342 => ("xfs", false),
        0x9123_683e => ("btrfs", false),
        0x0102_1994 => ("tmpfs", false),
        0x794c_7630 => ("overlayfs", false),
        0x2fc1_2fc1 => ("zfs", false),
        0xf2f5_2010 => ("f2fs", false),
        0xca45_1a4e => ("bcachefs", false),
        0x6969 => ("NFS", true),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => ("SMB", true),
        0x0102_1997 => ("9p", true),
        0x00c3_6400 => ("Ceph", true),
        0x0bd0_0bd0 => ("Lustre", true),
        0x4750_4653 | 0x4750_4660 => ("GPFS", true),
        0x6573_5546 => ("FUSE", false),
        _ => return None,
    })
}

#[cfg(not(target_os = "linux"))]
fn file_system(_folder: &Path) -> Option<(&'static str, bool)> {
    None
}

fn database(path: &Path) -> Finding {
    let runs = DataDir::open(path).map_err(|error| error.to_string()).and_then(|data| {
        let store = data.open_store().map_err(|error| error.to_string())?;
        store.runs(&RunFilter::default()).map(|runs| runs.len()).map_err(|error| error.to_string())
    });
    match runs {
        Ok(count) => {
            let version = schema_version(&path.join("quire.db")).map(|version| format!(", schema {version}"));
            let plural = if count == 1 { "" } else { "s" };
            Finding::ok(format!("database: {count} run{plural}{}", version.unwrap_or_default()))
        }
        Err(error) => match error.split_once(": ") {
            Some((what, help)) => Finding::fail(format!("database: {what}"), help),
            None => Finding::fail(format!("database: {error}"), "see rebuild"),
        },
    }
}

/// The database's `user_version`: bytes 60 to 64 of the header, big-endian (SQLite, "Database File Format", 1.3).
fn schema_version(database: &Path) -> Option<u32> {
    let mut header = [0; 64];
    fs::File::open(database).ok()?.read_exact(&mut header).ok()?;
    header.last_chunk().map(|version| u32::from_be_bytes(*version))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn context(data_dir: PathBuf) -> Context {
        Context {
            program: "quire-ci".to_owned(),
            workspace: None,
            data_dir: Some(data_dir),
            color: crate::cli::Color::Never,
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a/b");
        let findings = look(&context(path.clone()), None);
        assert_eq!(findings.first().map(|finding| finding.level), Some(Level::Ok), "{findings:?}");
        assert!(!path.exists());
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_database_is_told_with_what_to_do() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("runs")).unwrap();
        let level = |findings: &[Finding]| findings.last().map(|finding| finding.level);
        DataDir::open(top.path()).unwrap().open_store().unwrap();
        let findings = look(&context(top.path().to_owned()), None);
        assert_eq!(
            (level(&findings), findings.last().unwrap().what.as_str()),
            (Some(Level::Ok), "database: 0 runs, schema 2")
        );
        for name in ["quire.db", "quire.db-wal", "quire.db-shm"] {
            let _ = fs::remove_file(top.path().join(name));
        }
        fs::write(top.path().join("quire.db"), "this is no database, and long enough to be seen as none").unwrap();
        let findings = look(&context(top.path().to_owned()), None);
        assert_eq!(level(&findings), Some(Level::Fail), "{findings:?}");
        assert!(findings.last().unwrap().help.as_deref().unwrap().contains("rebuild"), "{findings:?}");
    }

    #[test]
    fn a_file_in_the_way_is_a_failure() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(folder(&file.join("below")).level, Level::Fail);
    }
}
