//! The installed compiler, and pipelines of given files.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::sync::OnceLock;

use quire_core::engine::{Compiler, Defined, Defining, Definition, FennelCompiler, Limits, Source};
use quire_core::pipeline::Diagnostic;

/// Where `quire-ci` looks first, of the machine's own places.
const PLACES: [&str; 2] = ["/usr/share/lua/5.4/fennel.lua", "/usr/local/share/lua/5.4/fennel.lua"];

/// The compiler of this machine.
pub fn compiler() -> FennelCompiler {
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

/// A pipeline of these files; the first is the pipeline.
pub fn source(files: &[(&str, &str)]) -> Source {
    let (file, text) = files[0];
    let modules = files[1..].iter().map(|(file, text)| (format!(".quire/lib/{file}"), text.as_bytes().to_vec()));
    Source {
        file: format!(".quire/{file}"),
        text: text.into(),
        modules: modules.collect(),
        fennel: Compiler::Found(compiler()),
    }
}

/// Runs the top level.
pub fn define_within(source: &Source, limits: &Limits) -> Result<Box<Defined>, Vec<Diagnostic>> {
    let mut definition = Definition::new(source, limits, 7);
    loop {
        match definition.resume() {
            Defining::Slice => {}
            Defining::Asked(request) => panic!("asked {request:?}"),
            Defining::Done(done) => return done,
        }
    }
}

/// Runs the top level of these files.
pub fn define(files: &[(&str, &str)]) -> Result<Box<Defined>, Vec<Diagnostic>> {
    define_within(&source(files), &Limits::default())
}

/// What a person is told of these files.
pub fn told(files: &[(&str, &str)]) -> String {
    let errors = define(files).expect_err("errors");
    errors.iter().map(|error| error.to_string() + "\n").collect()
}

/// Job ids to the lines at which they are defined.
pub fn lines(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let defined = define(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
    defined.pipeline.jobs.iter().map(|job| (job.id.to_string(), job.place.to_string())).collect()
}
