//! quire: the server. `quire ci …` is quire-ci, linked in.

fn main() {
    let args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|arg| arg == "ci") {
        std::process::exit(quire_ci::cli::main(args.into_iter().skip(1).collect()));
    }
    eprintln!("quire: `quire serve` has not landed yet; `quire ci …` runs pipelines here and now");
    std::process::exit(2);
}
