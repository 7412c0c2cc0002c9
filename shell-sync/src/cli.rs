//! The command line: what there is to say, and the exit code of each answer.

/// Runs quire-ci with these arguments (the program's name first) and returns the exit code.
pub fn main(_args: Vec<std::ffi::OsString>) -> i32 {
    0
}
