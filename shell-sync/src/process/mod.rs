//! Processes: one event loop over all children of a run. Performs the engine's orders, reports facts.
