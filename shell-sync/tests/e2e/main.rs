//! quire-ci as a person meets it: the binary itself, with real processes, real git, real SQLite, real terminals.

//mod bad_input;
//mod checkouts;
mod faults;
mod faults_logs;
//mod faults_processes;
mod faults_secrets;
//mod interrupted;
//mod options;
//mod past_runs;
//mod terminal;
mod world;
