//! The kernel and what of it a run leans on; the terminal.

use std::env;
use std::fs;
use std::io::IsTerminal as _;

use super::Finding;

/// The oldest Linux on which everything works: the first with pidfd_open and all that goes with it (DESIGN, "Top level").
const FULL_LINUX: (u32, u32) = (5, 4);

/// Kernel and processes.
pub(super) fn look() -> Vec<Finding> {
    vec![kernel(), processes()]
}

fn kernel() -> Finding {
    if env::consts::OS != "linux" {
        return Finding::warn(
            format!("system: {} {}", env::consts::OS, env::consts::ARCH),
            "processes that leave their group are not found again when a job ends; Linux is the full platform",
        );
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let what = format!("system: Linux {release} {}", env::consts::ARCH);
    match version(release) {
        Some(version) if version >= FULL_LINUX => Finding::ok(what),
        Some(_) => {
            Finding::warn(what, format!("Linux {}.{} or newer is the full platform", FULL_LINUX.0, FULL_LINUX.1))
        }
        None => Finding::warn(what, "its version cannot be told: is /proc mounted?"),
    }
}

/// The first two numbers of a release: `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(target_os = "linux")]
fn processes() -> Finding {
    use rustix::process::{PidfdFlags, child_subreaper, getpid, pidfd_open};

    let lacks: Vec<&str> = [
        ("pidfd_open", pidfd_open(getpid(), PidfdFlags::empty()).is_ok()),
        ("child subreaper", child_subreaper().is_ok()),
        ("/proc", fs::metadata("/proc/self/stat").is_ok()),
        ("/proc/…/children", fs::read("/proc/thread-self/children").is_ok()),
    ]
    .into_iter()
    .filter_map(|(name, there)| (!there).then_some(name))
    .collect();
    match lacks.as_slice() {
        [] => Finding::ok("processes: pidfd, subreaper and /proc, so that no command's process outlives its job"),
        lacks => Finding::warn(
            format!("processes: no {}", lacks.join(", ")),
            "processes that leave their group may outlive their job; a sandbox or container may forbid it: allow it there",
        ),
    }
}

#[cfg(not(target_os = "linux"))]
fn processes() -> Finding {
    Finding::ok("processes: by group")
}

/// The terminal and its letters.
pub(super) fn terminal() -> Vec<Finding> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(name));
    let term = match std::io::stdout().is_terminal() {
        false => "terminal: standard output is none, so runs print plain lines".to_owned(),
        true => {
            let size = rustix::termios::tcgetwinsize(std::io::stdout());
            let size = size.map(|size| format!(", {} x {}", size.ws_col, size.ws_row)).unwrap_or_default();
            format!("terminal: {}{size}", variable("TERM").unwrap_or_else(|| "of unknown kind".to_owned()))
        }
    };
    vec![letters(locale.as_deref()), Finding::ok(term)]
}

fn letters(locale: Option<&str>) -> Finding {
    let is_utf8 = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    };
    match locale {
        Some(locale) if is_utf8(locale) => Finding::ok(format!("locale: {locale}")),
        locale => Finding::warn(
            format!("locale: {}, not UTF-8", locale.unwrap_or("none is set")),
            "tools may print letters outside ASCII wrongly: set LC_ALL=C.UTF-8",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn releases_are_read() {
        for (release, want) in [
            ("6.1.0-18-amd64", Some((6, 1))),
            ("5.4.0", Some((5, 4))),
            ("5.15-rc1", Some((5, 15))),
            ("4.19.2", Some((4, 19))),
            ("", None),
            ("six", None),
        ] {
            assert_eq!(version(release), want, "{release}");
        }
    }

    #[test]
    fn locales_are_judged() {
        for (locale, want) in [
            (Some("C.UTF-8"), Level::Ok),
            (Some("de_DE.utf8"), Level::Ok),
            (Some("POSIX"), Level::Warn),
            (None, Level::Warn),
        ] {
            assert_eq!(letters(locale).level, want, "{locale:?}");
        }
    }
}
