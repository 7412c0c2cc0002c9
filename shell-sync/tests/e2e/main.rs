//! quire-ci as a person meets it: the binary itself, with real processes, real git, real SQLite, real terminals.

// Marked as tests so that helpers may unwrap like the tests that they serve.
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod checkouts;
#[cfg(test)]
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../support/disk.rs"]
mod disk;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faults_logs;
#[cfg(test)]
mod faults_processes;
#[cfg(test)]
mod faults_secrets;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod options;
#[cfg(test)]
mod past_runs;
#[cfg(test)]
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../support/recorded.rs"]
mod recorded;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod shell;
#[cfg(test)]
mod shell_on_fail;
#[cfg(test)]
mod terminal;
#[cfg(test)]
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../support/world.rs"]
mod world;
