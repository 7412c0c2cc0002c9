//! `shelve NAME FOLDER…` fills `fuzz/corpus/NAME` from folders of inputs, minimised by `cargo fuzz cmin`: small files first, until
//! the corpus has its share of bytes. What is in the corpus already stays. Run it from the project's root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use quire_fuzz::replay::files;

/// Most bytes and files of one corpus.
const MOST_BYTES: usize = 64 * 1024;
const MOST_FILES: usize = 80;
/// Hexadecimal digits of a file's name.
const DIGITS: usize = 10;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        eprintln!("usage: shelve NAME FOLDER...");
        return ExitCode::from(2);
    };
    let folders: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    match shelve(&Path::new("fuzz/corpus").join(name), &folders) {
        Ok((count, bytes)) => {
            println!("{count} files, {bytes} bytes");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn shelve(corpus: &Path, folders: &[PathBuf]) -> std::io::Result<(usize, usize)> {
    std::fs::create_dir_all(corpus)?;
    let mut chosen: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (path, data) in files(corpus)? {
        chosen.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), data);
    }
    let mut others = Vec::new();
    for folder in folders {
        others.extend(files(folder)?);
    }
    others.sort_by_key(|(_, data)| data.len());
    // Of many small files, those spread over all sizes tell more than the smallest ones.
    let step = (others.len() / MOST_FILES).max(1);
    for (path, data) in others.into_iter().step_by(step) {
        let bytes: usize = chosen.values().map(Vec::len).sum();
        if chosen.len() < MOST_FILES && bytes + data.len() <= MOST_BYTES {
            let name = digest(&path)?;
            std::fs::write(corpus.join(&name), &data)?;
            chosen.insert(name, data);
        }
    }
    Ok((chosen.len(), chosen.values().map(Vec::len).sum()))
}

/// The SHA-1 of a file, its first digits: what git knows how to count.
fn digest(path: &Path) -> std::io::Result<String> {
    let output = Command::new("git").args(["hash-object", "--no-filters"]).arg(path).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.get(..DIGITS).map(str::to_owned).ok_or_else(|| std::io::Error::other("git hash-object says nothing"))
}
