//! The workspace: where it is, its pipeline and modules, and the files that scripts ask for.
