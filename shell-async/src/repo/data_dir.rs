//! The data directory's folders and modes.
//!
//! Without a group everything is the server's user's alone: 0700, files 0600; who pushes is that user (or root). With a group G,
//! its members may push as themselves:
//!
//! ```text
//! <data>        0710  group G   they may pass through, and list nothing
//! repos/        2770  group G   repositories made here are git's "shared"
//! spool/        3770  group G   anyone of the group may leave a file; only the server removes others'
//! quire.sock    0660  group G   the server makes it so when it listens
//! runs/ cache/  0700            private, as quire.db and config.lua (0600) are
//! ```

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

/// Files in the data directory that are the server's alone.
const PRIVATE_FILES: [&str; 6] =
    ["quire.db", "quire.db-wal", "quire.db-shm", "server.lock", "config.lua", "config.fnl"];

/// Makes the data directory and its folders and gives them their modes; `group` is a name or a number. Returns what could not
/// be done, for people. An error only where there is no data directory in the end.
pub fn prepare_data_dir(data: &Path, group: Option<&str>) -> io::Result<Vec<String>> {
    DirBuilder::new().recursive(true).mode(0o700).create(data)?;
    let mut notes = Vec::new();
    let gid = group.and_then(|group| match gid_of(group) {
        Some(gid) => Some(gid),
        None => {
            notes.push(format!("there is no group {group}: only the server's own user can push"));
            None
        }
    });
    let mut folder = |name: &str, shared: Option<u32>| {
        let path = data.join(name);
        let made = match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        };
        let (gid, mode) = match (gid, shared) {
            (Some(gid), Some(mode)) => (Some(gid), mode),
            _ => (None, 0o700),
        };
        if let Err(error) = made.and_then(|()| set(&path, gid, mode)) {
            notes.push(format!("{} cannot be given its mode {mode:o}: {error}", path.display()));
        }
    };
    folder("runs", None);
    folder("cache", None);
    folder("repos", Some(0o2770));
    folder("spool", Some(0o3770));
    // Last: nobody passes through before what is inside is as it should be.
    folder("", Some(0o710));
    for name in PRIVATE_FILES {
        let path = data.join(name);
        match fs::metadata(&path) {
            Ok(meta) if meta.mode() & 0o077 != 0 => {
                if let Err(error) = fs::set_permissions(&path, fs::Permissions::from_mode(0o600)) {
                    notes.push(format!("others can read {}: {error}", path.display()));
                }
            }
            _ => {}
        }
    }
    if let (Some(gid), Some(group)) = (gid, group) {
        notes.extend(barrier(data, gid, group));
    }
    Ok(notes)
}

/// Lets those of `group`, a name or a number, use the socket; without one it is the server's user's alone.
pub fn share_socket(path: &Path, group: Option<&str>) -> io::Result<()> {
    match group.and_then(gid_of) {
        Some(gid) => set(path, Some(gid), 0o660),
        None => set(path, None, 0o600),
    }
}

/// Gives a file its group and then its mode; what is right already is left alone.
fn set(path: &Path, gid: Option<u32>, mode: u32) -> io::Result<()> {
    let meta = fs::metadata(path)?;
    if let Some(gid) = gid.filter(|gid| *gid != meta.gid()) {
        chown(path, None, Some(gid))?;
    }
    // A change of group takes the set-group-id bit away, so the mode is looked at again.
    if fs::metadata(path)?.mode() & 0o7777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// A folder above that keeps the group out.
fn barrier(data: &Path, gid: u32, group: &str) -> Option<String> {
    let data = data.canonicalize().ok()?;
    let closed = data.ancestors().skip(1).find(|folder| {
        fs::metadata(folder)
            .is_ok_and(|meta| meta.mode() & 0o001 == 0 && (meta.gid() != gid || meta.mode() & 0o010 == 0))
    })?;
    Some(format!("group {group} cannot pass through {}: its members cannot push", closed.display()))
}

/// A group's number: in /etc/group, or written as one.
fn gid_of(group: &str) -> Option<u32> {
    if let Ok(gid) = group.parse() {
        return Some(gid);
    }
    let text = fs::read_to_string("/etc/group").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(data: &Path) -> Vec<u32> {
        let of = |name: &str| fs::metadata(data.join(name)).unwrap().mode() & 0o7777;
        ["", "repos", "spool", "runs", "cache"].map(of).to_vec()
    }

    #[test]
    fn without_a_group_all_is_private() {
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path().join("a/b");
        assert_eq!(prepare_data_dir(&data, None).unwrap(), [""; 0]);
        assert_eq!(modes(&data), [0o700; 5]);
        fs::write(data.join("config.lua"), "").unwrap();
        fs::set_permissions(data.join("config.lua"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(data.join("spool"), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(prepare_data_dir(&data, None).unwrap(), [""; 0]);
        assert_eq!(modes(&data), [0o700; 5]);
        assert_eq!(fs::metadata(data.join("config.lua")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_group_gets_what_pushing_needs() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let data = temp.path().join("data");
        let gid = rustix::process::getegid().as_raw().to_string();
        let notes = prepare_data_dir(&data, Some(&gid)).unwrap();
        assert_eq!(modes(&data), [0o710, 0o2770, 0o3770, 0o700, 0o700]);
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("cannot pass through"), "{notes:?}");
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(prepare_data_dir(&data, Some(&gid)).unwrap(), [""; 0]);
        let notes = prepare_data_dir(&data, Some("no-such-group")).unwrap();
        assert!(notes[0].contains("no group no-such-group"), "{notes:?}");
        assert_eq!(modes(&data), [0o700; 5]);
    }
}
