//! What /proc tells of other processes: parents, groups, environments, children. Reads only; who is to be ended is decided in
//! `sweep`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use rustix::process::Pid;

/// The part of `/proc/PID/stat` (proc_pid_stat(5)) that names a process beyond its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// Its first thread has ended; the process is gone unless other threads of it live on.
    pub zombie: bool,
    /// It is a thread of the kernel.
    pub kernel: bool,
    /// The parent; `None` for 0, a parent outside this pid namespace.
    pub parent: Option<Pid>,
    /// The process group; `None` for 0.
    pub group: Option<Pid>,
    /// When it started, in clock ticks since boot: with the pid, one process and no other.
    pub started: u64,
}

/// `PF_KTHREAD` of the kernel's flags of a process (its `include/linux/sched.h`).
const KERNEL_THREAD: u32 = 0x0020_0000;

/// `None` where there is no such process.
pub(super) fn stat(pid: Pid) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?)
}

/// The name of a program may hold anything, `) (` too: the fields are counted from its last parenthesis.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X" | "x");
    let parent = Pid::from_raw(fields.next()?.parse().ok()?);
    let group = Pid::from_raw(fields.next()?.parse().ok()?);
    // The 9th and the 22nd field of the line; the three read here are the 3rd, 4th and 5th.
    let flags: u32 = fields.nth(3)?.parse().ok()?;
    let started = fields.nth(12)?.parse().ok()?;
    Some(Stat { zombie, kernel: flags & KERNEL_THREAD != 0, parent, group, started })
}

/// The value of a variable in the environment that the process was started with. `None` where it has none, may not be read,
/// or wrote over it.
pub(super) fn environment_value(pid: Pid, name: &str) -> Option<Vec<u8>> {
    value_of(&fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).ok()?, name).map(<[u8]>::to_vec)
}

/// Whether the process shows an empty environment: it is just being given a new program (the kernel shows none until that is
/// set up), or was started with none.
pub(super) fn is_without_environment(pid: Pid) -> bool {
    fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).is_ok_and(|block| block.is_empty())
}

/// Whether the process is just being given a new program: until that is set up it shows neither environment nor arguments. The
/// kernel's own threads never show any.
pub(super) fn is_between_programs(pid: Pid) -> bool {
    let shows_none =
        |file: &str| fs::read(format!("/proc/{}/{file}", pid.as_raw_pid())).is_ok_and(|text| text.is_empty());
    shows_none("environ") && shows_none("cmdline") && stat(pid).is_some_and(|stat| !stat.zombie && !stat.kernel)
}

fn value_of<'a>(block: &'a [u8], name: &str) -> Option<&'a [u8]> {
    block.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// The list of one thread's children, kept open: opening is most of what reading it costs.
#[derive(Debug)]
pub(super) struct Children {
    file: File,
}

impl Children {
    /// `None` where the kernel does not tell (no CONFIG_PROC_CHILDREN) or there is no such thread.
    pub fn of_thread(pid: Pid, thread: Pid) -> Option<Children> {
        let path = format!("/proc/{}/task/{}/children", pid.as_raw_pid(), thread.as_raw_pid());
        Some(Children { file: File::open(path).ok()? })
    }

    /// Those that it has now, zombies included; none where the thread has ended.
    pub fn now(&self) -> Vec<Pid> {
        let mut text = vec![0; 512];
        let mut filled = 0;
        while let Some(room) = text.get_mut(filled..) {
            match self.file.read_at(room, filled as u64) {
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
            if filled == text.len() {
                text.resize(2 * filled, 0);
            }
        }
        text.truncate(filled);
        parse_pids(&text)
    }
}

fn parse_pids(text: &[u8]) -> Vec<Pid> {
    let words = text.split(u8::is_ascii_whitespace);
    words.filter_map(|word| Pid::from_raw(std::str::from_utf8(word).ok()?.parse().ok()?)).collect()
}

/// Children of all threads of a process; empty where it is gone.
pub(super) fn children(pid: Pid) -> Vec<Pid> {
    let threads = numbered(&format!("/proc/{}/task", pid.as_raw_pid()));
    threads.into_iter().filter_map(|thread| Children::of_thread(pid, thread)).flat_map(|list| list.now()).collect()
}

/// How many threads a process has; 0 where it is gone.
pub(super) fn threads(pid: Pid) -> usize {
    numbered(&format!("/proc/{}/task", pid.as_raw_pid())).len()
}

/// Every process that is visible here.
pub(super) fn processes() -> Vec<Pid> {
    numbered("/proc")
}

fn numbered(folder: &str) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// The program's name as the kernel keeps it, for people; at most 15 bytes.
pub(super) fn name(pid: Pid) -> String {
    let bytes = fs::read(format!("/proc/{}/comm", pid.as_raw_pid())).unwrap_or_default();
    String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_any_program_name() {
        let rest = "7 12 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99 100";
        for (line, zombie, kernel) in [
            (format!("42 (sh) S {rest}"), false, false),
            (format!("42 (a) R 1 (b)) Z {rest}"), true, false),
            (format!("42 (new\nline) X {rest}"), true, false),
            (format!("42 (kworker/0:1) I {}", rest.replace("4194560", "69238880")), false, true),
        ] {
            let expected = Stat { zombie, kernel, parent: Pid::from_raw(7), group: Pid::from_raw(12), started: 4711 };
            assert_eq!(parse_stat(line.as_bytes()), Some(expected), "{line}");
        }
        for torn in ["", "42 (sh", "42 (sh)", "42 (sh) S 7", "42 (sh) S 7 12 3 0"] {
            assert_eq!(parse_stat(torn.as_bytes()), None, "{torn}");
        }
    }

    #[test]
    fn an_environment_is_searched_by_whole_names() {
        let block = b"PATH=/bin\0XQUIRE_SH=no\0QUIRE_SHA=no\0QUIRE_SH=r/build/1\0EMPTY=\0";
        for (name, value) in
            [("QUIRE_SH", Some(&b"r/build/1"[..])), ("EMPTY", Some(b"")), ("QUIRE", None), ("MORE", None)]
        {
            assert_eq!(value_of(block, name), value, "{name}");
        }
    }

    #[test]
    fn pids_are_read_from_a_list_of_words() {
        let pids = |text: &str| parse_pids(text.as_bytes()).iter().map(|pid| pid.as_raw_pid()).collect::<Vec<_>>();
        assert_eq!(pids("12 345 \n"), [12, 345]);
        assert_eq!(pids(""), [] as [i32; 0]);
    }

    #[test]
    fn a_list_of_children_is_read_whole_and_anew() {
        let list = Children::of_thread(rustix::process::getpid(), rustix::thread::gettid()).unwrap();
        assert_eq!(list.now(), []);
        // More than one read's worth; they end, but stay in the list until they are waited for.
        let mut children: Vec<_> = (0..200).map(|_| std::process::Command::new("true").spawn().unwrap()).collect();
        let expected: Vec<_> = children.iter().map(|child| Pid::from_raw(child.id() as i32).unwrap()).collect();
        assert_eq!(list.now(), expected);
        for child in &mut children {
            child.wait().unwrap();
        }
        assert_eq!(list.now(), []);
    }

    #[test]
    fn this_process_is_there() {
        let own = rustix::process::getpid();
        let stat = stat(own).unwrap();
        assert!(!stat.zombie && stat.parent == rustix::process::getppid());
        assert!(threads(own) > 0);
        assert!(processes().contains(&own));
        assert_ne!(name(own), "");
    }
}
