//! What a target does without a fuzzer: it runs files, findings or a corpus, one after the other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Makes a target's `main`: under `cfg(fuzzing)` libFuzzer's, which makes inputs up; else [`replay`](crate::replay::replay) of the
/// files and folders that the command line names. The file says `#![cfg_attr(fuzzing, no_main)]`.
#[macro_export]
macro_rules! target {
    ($run:path) => {
        #[cfg(fuzzing)]
        ::libfuzzer_sys::fuzz_target!(|data: &[u8]| $run(data));

        #[cfg(not(fuzzing))]
        fn main() -> ::std::process::ExitCode {
            $crate::replay::replay($run, ::std::env::args_os().skip(1))
        }
    };
}

/// Runs each file, and each file in each folder, in order of their names. A file that violates a property ends the program by
/// its panic, its name being the last one printed.
pub fn replay(run: fn(&[u8]), paths: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut inputs = Vec::new();
    for path in paths {
        match files(Path::new(&path)) {
            Ok(found) => inputs.extend(found),
            Err(error) => {
                eprintln!("cannot read {}: {error}; name files or folders of inputs", Path::new(&path).display());
                return ExitCode::from(2);
            }
        }
    }
    if inputs.is_empty() {
        eprintln!("nothing to replay: name files or folders of inputs, such as fuzz/corpus/NAME");
        return ExitCode::from(2);
    }
    for (path, data) in inputs {
        println!("{} ({} bytes)", path.display(), data.len());
        run(&data);
    }
    ExitCode::SUCCESS
}

/// The content of a file, or of each file in a folder, sorted by name.
pub fn files(path: &Path) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        paths = std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        paths.retain(|path| path.is_file());
        paths.sort();
    }
    paths.into_iter().map(|path| std::fs::read(&path).map(|data| (path, data))).collect()
}
