//! quire-ci: runs a pipeline here and now.

fn main() {
    std::process::exit(quire_ci::cli::main(std::env::args_os().collect()));
}
