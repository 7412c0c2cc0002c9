//! A small file system of its own, to fill up and to take the right to write from.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

/// A tmpfs, gone with the test.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounted at this place, with room for so much.
    #[track_caller]
    pub fn mounted(place: PathBuf, size: &str) -> Disk {
        fs::create_dir_all(&place).unwrap();
        let options = CString::new(format!("size={size},mode=0700")).unwrap();
        mount("quire-test", &place, "tmpfs", MountFlags::NODEV, options.as_c_str())
            .expect("this test mounts a small tmpfs and needs the right to: run it as root");
        Disk(place)
    }

    /// Nothing can be written there any more. Refused by the kernel while a file is open for writing.
    #[track_caller]
    pub fn make_read_only(&self) {
        mount_remount(&self.0, MountFlags::RDONLY, c"").unwrap();
    }

    /// It can be written again.
    #[track_caller]
    pub fn make_writable(&self) {
        mount_remount(&self.0, MountFlags::NODEV, c"").unwrap();
    }

    /// Has room for so much from now on.
    #[track_caller]
    pub fn resize(&self, size: &str) {
        let options = CString::new(format!("size={size}")).unwrap();
        mount_remount(&self.0, MountFlags::NODEV, options.as_c_str()).unwrap();
    }

    /// Fills it to the last byte.
    #[track_caller]
    pub fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        let mut size = 64 * 1024;
        while size > 0 {
            if file.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
    }

    /// Takes away what filled it.
    #[track_caller]
    pub fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}
