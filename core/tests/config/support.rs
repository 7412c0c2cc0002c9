//! Configurations of texts.

use std::env;
use std::fs;
use std::sync::OnceLock;

use quire_core::config::{Loaded, Refused, ServerConfig, load};
use quire_core::engine::{Compiler, FennelCompiler, Source};

/// Where `quire` looks first, of the machine's own places.
const PLACES: [&str; 2] = ["/usr/share/lua/5.4/fennel.lua", "/usr/local/share/lua/5.4/fennel.lua"];

fn compiler() -> FennelCompiler {
    static COMPILER: OnceLock<FennelCompiler> = OnceLock::new();
    let read = || {
        let named = env::var("QUIRE_FENNEL").ok();
        let mut places = named.iter().map(String::as_str).chain(PLACES);
        let found =
            places.find_map(|path| Some(FennelCompiler { path: path.to_owned(), text: fs::read(path).ok()?.into() }));
        found.expect("Fennel is not installed: run .ci/install-fennel, or name a fennel.lua in QUIRE_FENNEL")
    };
    COMPILER.get_or_init(read).clone()
}

/// A file of this name.
pub fn source(file: &str, text: impl Into<Vec<u8>>) -> Source {
    let fennel = if file.ends_with(".fnl") { Compiler::Found(compiler()) } else { Compiler::NotSought };
    Source { file: file.to_owned(), text: text.into(), fennel, ..Source::default() }
}

/// What comes of it.
pub fn read(file: &str, text: &str) -> Result<Loaded, Refused> {
    load(&source(file, text))
}

/// The configuration of a file in which nothing is wrong or odd.
#[track_caller]
pub fn config(file: &str, text: &str) -> ServerConfig {
    let loaded = read(file, text).unwrap_or_else(|refused| panic!("{text}\n{}", shown(&refused.errors, &[])));
    assert!(loaded.warnings.is_empty(), "{text}\n{}", shown(&[], &loaded.warnings));
    loaded.config
}

/// All that a person is told: errors, then warnings.
pub fn told(file: &str, text: &str) -> String {
    match read(file, text) {
        Ok(loaded) => shown(&[], &loaded.warnings),
        Err(refused) => shown(&refused.errors, &refused.warnings),
    }
}

fn shown(errors: &[quire_core::pipeline::Diagnostic], warnings: &[quire_core::pipeline::Diagnostic]) -> String {
    let plain = |_, text: &str| text.to_owned();
    let errors = errors.iter().map(|error| error.render(&plain) + "\n");
    errors.chain(warnings.iter().map(|warning| warning.render_warning(&plain) + "\n")).collect()
}
