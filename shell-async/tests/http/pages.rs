//! The pages: over real sockets, as a browser without scripts sees them.

mod addresses;
mod answers;
mod forms;
mod hostile;
mod html;
mod live;
mod log;
mod made;
mod states;
