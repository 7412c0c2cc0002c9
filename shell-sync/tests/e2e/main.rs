//! quire-ci as a person meets it: the binary itself, with real processes, real git, real SQLite, real terminals.

// Marked as tests so that helpers may unwrap like the tests that they serve.
#[cfg(test)]
mod bad_input;
//mod checkouts;
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
//mod options;
//mod past_runs;
//mod terminal;
#[cfg(test)]
mod world;
