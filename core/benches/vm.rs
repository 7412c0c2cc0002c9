//! What a job's VM costs: making the sandbox, running a small top level in it, dropping it; and a request with its answer.
//!
//! `cargo bench -p quire-core --bench vm`. Prints medians of 15 rounds.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Instant;

use quire_core::engine::{Limits, Source};
use quire_core::script::{JobFacts, Program, Reply, Request, Step, Vm};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TEXT: &str = r#"local ci = require "quire.ci"
ci.job("a", function(rt) for i = 1, 1000 do rt.env("HOME") end end)"#;

fn median(mut of: impl FnMut() -> f64) -> f64 {
    let mut rounds: Vec<f64> = (0..15).map(|_| of()).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn main() {
    let source = Source { file: ".quire/ci.lua".into(), text: TEXT.into(), ..Source::default() };
    let limits = Limits::default();
    let program = Program::compile(&source, &limits).unwrap();
    while program.prepare().is_none() {}
    let program = Arc::new(program);
    let each = |count: u32, work: &dyn Fn()| {
        let begin = Instant::now();
        (0..count).for_each(|_| work());
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    };
    let made = median(|| each(200, &|| drop(Vm::new(Arc::clone(&program), &limits, 7).unwrap())));
    println!("a sandbox made and dropped          {made:8.1} us");
    let run = || {
        let mut vm = Vm::new(Arc::clone(&program), &limits, 7).unwrap();
        vm.start_top_level(Some("a")).unwrap();
        assert!(matches!(vm.resume(None), Step::Returned(Ok(None))));
        vm
    };
    let ran = median(|| each(200, &|| drop(run())));
    println!("the same with its top level run     {ran:8.1} us");
    let mut vm = run();
    let asked = median(|| {
        vm.start_job(&JobFacts { id: "a".into(), attempt: 1, ..JobFacts::default() }).unwrap();
        let begin = Instant::now();
        let mut step = vm.resume(None);
        while let Step::Request(Request::Env(_)) = step {
            step = vm.resume(Some(Reply::Bytes(b"/home/x".to_vec())));
        }
        begin.elapsed().as_secs_f64() * 1e6 / 1000.0
    });
    println!("a request and its answer            {asked:8.2} us");
}
