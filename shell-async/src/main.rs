//! quire: the server. `quire ci …` is quire-ci, linked in.

/// A job's VM is two thousand small pieces: made and freed in half the time that the C library's allocator takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|arg| arg == "ci") {
        std::process::exit(quire_ci::cli::main(args.into_iter().skip(1).collect()));
    }
    eprintln!("quire: `quire serve` has not landed yet; `quire ci …` runs pipelines here and now");
    std::process::exit(2);
}
