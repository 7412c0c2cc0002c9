//! Facts from git: sha, ref, dirty counts, fingerprint, fresh checkouts.
