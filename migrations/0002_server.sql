-- What a server knows of runs besides their streams, of pushes that ran nothing, and of who may ask it (CONTRACT 2).
--
-- All of this is queue facts: no stream tells them, and a rebuild keeps them. All times are Unix milliseconds. Of tokens,
-- sessions and logins only the SHA-256 is here: none of them can be read back.

-- Why a run came to be; NULL for runs that no server queued.
ALTER TABLE runs ADD COLUMN origin TEXT CHECK (origin IN ('push', 'trigger', 'retry'));
-- Who caused it, who ended it or which run took its place: for people.
ALTER TABLE runs ADD COLUMN by_whom TEXT;
ALTER TABLE runs ADD COLUMN ended_by TEXT;
-- An object of texts, and a list of job ids; NULL where empty.
ALTER TABLE runs ADD COLUMN params TEXT CHECK (json_valid(params));
ALTER TABLE runs ADD COLUMN wanted_jobs TEXT CHECK (json_valid(wanted_jobs));
-- The ended run that somebody wanted again, and whether only what failed.
ALTER TABLE runs ADD COLUMN retry_of TEXT CHECK (retry_of IS NULL OR origin IS 'retry');
ALTER TABLE runs ADD COLUMN retry_failed INTEGER CHECK (retry_failed IN (0, 1));
-- Its logs, workspace and artifacts are gone since then; disk_bytes then says what is left.
ALTER TABLE runs ADD COLUMN logs_removed_at_ms INTEGER;
-- 1 while its directory holds the workspace that it ended with.
ALTER TABLE runs ADD COLUMN workspace_kept INTEGER CHECK (workspace_kept IN (0, 1));

-- Of a ref in whatever repository, by state.
CREATE INDEX runs_by_ref_state ON runs (ref_name, state);
-- What waits and what goes on: few rows of many.
CREATE INDEX runs_open ON runs (repo, state) WHERE state IN ('pending', 'active');
-- What retention looks at, oldest end first, with all that it asks.
CREATE INDEX runs_with_logs ON runs (finished_at_ms, seq, disk_bytes)
    WHERE finished_at_ms IS NOT NULL AND logs_removed_at_ms IS NULL AND state <> 'superseded';
CREATE INDEX runs_with_workspace ON runs (repo, ref_name) WHERE workspace_kept = 1;

-- A run waits, then goes on, then ends; one that waits may end at once, and only one that waits is superseded. That an ended
-- one stays ended is runs_stay_ended's.
CREATE TRIGGER runs_go_forward BEFORE UPDATE OF state ON runs
WHEN OLD.state = 'active' AND NEW.state IN ('pending', 'superseded')
BEGIN
    SELECT RAISE(ABORT, 'a run that goes on neither waits again nor is superseded');
END;

-- Refs of pushes that got no run, and why: the last of each repository, as long as the store keeps them.
CREATE TABLE not_run (
    seq             INTEGER PRIMARY KEY,
    repo            TEXT NOT NULL,
    ref_name        TEXT NOT NULL,
    sha             TEXT,
    at_ms           INTEGER NOT NULL,
    by_whom         TEXT,
    reason          TEXT NOT NULL
) STRICT;

CREATE INDEX not_run_by_repo ON not_run (repo);

CREATE TABLE tokens (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL UNIQUE CHECK (name <> ''),
    hash            TEXT NOT NULL UNIQUE CHECK (length(hash) = 64),
    identity        TEXT NOT NULL CHECK (identity <> ''),
    role            TEXT NOT NULL,
    -- A list of names and patterns; empty for all.
    repos           TEXT NOT NULL CHECK (json_valid(repos)),
    created_at_ms   INTEGER NOT NULL,
    last_used_at_ms INTEGER,
    expires_at_ms   INTEGER
) STRICT;

CREATE TABLE sessions (
    hash            TEXT NOT NULL PRIMARY KEY CHECK (length(hash) = 64),
    identity        TEXT NOT NULL CHECK (identity <> ''),
    created_at_ms   INTEGER NOT NULL,
    expires_at_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One-time login links: whoever brings one first gets a session, and the row goes.
CREATE TABLE logins (
    hash            TEXT NOT NULL PRIMARY KEY CHECK (length(hash) = 64),
    identity        TEXT NOT NULL CHECK (identity <> ''),
    expires_at_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
