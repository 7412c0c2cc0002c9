//! A command that tells the world what it did: it leaves a mark as its first act, prints numbered lines, and notes beside them
//! when each was finished. What it prints follows from its words alone, so that any part of a log can be held against it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quire_core::wire::Stream;

use crate::world::World;

/// Bytes of the filling of a wide line: more than a log's entry holds.
const WIDE: usize = 20_000;

/// `writer MODE LINES PAUSE`. It waits on a pipe into which nobody writes: starting a `sleep` for each pause would be slower
/// than the pauses.
const SCRIPT: &str = r#"#!/usr/bin/env bash
me=${QUIRE_SH//\//+}
: > "marks/$me"
exec 3>> "finished/$me" 4<> idle
wide=$(printf '%020000d' 0)
for ((n = 1; n <= $2; n++)); do
  case $1 in
    out) echo "out $n" ;;
    err) echo "err $n" >&2 ;;
    both) echo "out $n"; echo "err $n" >&2 ;;
    wide) echo "out $n $wide"; echo "err $n $wide" >&2 ;;
    open) if ((n < $2)); then echo "out $n"; else printf 'out %d' "$n"; fi ;;
  esac
  echo "$n $EPOCHREALTIME" >&3
  if [[ $3 != 0 ]]; then read -rt "$3" -u 4; fi
done
exit 0
"#;

/// Puts the writer into a workspace, and commits it with all that is there.
#[track_caller]
pub fn install(world: &World) {
    use std::os::unix::fs::PermissionsExt;
    world.write("writer", SCRIPT);
    std::fs::set_permissions(world.workspace().join("writer"), PermissionsExt::from_mode(0o755)).unwrap();
    for folder in ["marks", "finished"] {
        std::fs::create_dir(world.workspace().join(folder)).unwrap();
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.workspace().join("idle"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    world.write(".gitignore", "marks\nfinished\nidle\n");
    world.commit("with a writer");
}

/// What a command line `… ./writer MODE LINES PAUSE` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing {
    mode: String,
    lines: u32,
}

impl Writing {
    /// From the text of a command; `None` where no writer is in it.
    pub fn of(cmd: &str) -> Option<Writing> {
        let (_, words) = cmd.rsplit_once("./writer ")?;
        let mut words = words.split(' ');
        Some(Writing { mode: words.next()?.to_owned(), lines: words.next()?.parse().ok()? })
    }

    /// All that a stream gets, if nobody ends it early.
    pub fn whole(&self, stream: Stream) -> Vec<u8> {
        (1..=self.lines).flat_map(|n| self.line(stream, n)).collect()
    }

    /// Where these bytes are a beginning of what a stream gets: how many of its lines are there whole.
    pub fn lines_of(&self, stream: Stream, bytes: &[u8]) -> Option<u32> {
        let mut rest = bytes;
        for n in 1..=self.lines {
            let line = self.line(stream, n);
            match rest.strip_prefix(line.as_slice()) {
                Some(after) => rest = after,
                None => return line.starts_with(rest).then_some(n - 1),
            }
        }
        // Where it died between the last entry and the event that tells of it, its record leaves open whether a last line
        // without newline had none.
        (rest.is_empty() || (rest == b"\n" && self.mode == "open")).then_some(self.lines)
    }

    fn line(&self, stream: Stream, n: u32) -> Vec<u8> {
        let name = match stream {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
        };
        match (self.mode.as_str(), stream) {
            ("out" | "open", Stream::Stderr) | ("err", Stream::Stdout) => Vec::new(),
            ("open", Stream::Stdout) if n == self.lines => format!("{name} {n}").into_bytes(),
            ("wide", _) => format!("{name} {n} {}\n", "0".repeat(WIDE)).into_bytes(),
            ("out" | "err" | "both" | "open", _) => format!("{name} {n}\n").into_bytes(),
            (other, _) => panic!("the writer knows no mode {other:?}"),
        }
    }
}

/// The last line that a command had finished by `then`, as its own notes say; 0 where there is none.
pub fn finished_by(notes: &str, then: SystemTime) -> u32 {
    let then = then.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    // The last note may be torn: whoever wrote it may have been killed over it.
    let whole = notes.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let by_then = whole.lines().filter_map(|line| {
        let (n, at) = line.split_once(' ')?;
        (at.parse::<f64>().ok()? <= then.as_secs_f64()).then(|| n.parse().ok())?
    });
    by_then.max().unwrap_or(0)
}
