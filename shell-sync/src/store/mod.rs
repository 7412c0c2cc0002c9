//! The SQLite store: migrations, puts, queries, and the thread that writes rows while a run goes on (CONTRACT 2).
