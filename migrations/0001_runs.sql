-- Runs, their jobs, their commands (CONTRACT 2).
--
-- jobs, sh_events and what a run's stream tells of it are a projection of runs/<id>/events.jsonl. Queue facts (queued_at_ms, owner,
-- pending, superseded, a number that the stream does not tell) belong to this database alone.
-- All times are Unix milliseconds. No duration is negative, whatever the wall clock did.

CREATE TABLE runs (
    -- Order of insertion: "newest first" goes by this, so that a clock stepping back moves no run.
    seq             INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE CHECK (id <> ''),
    -- '' where nothing tells the repository.
    repo            TEXT NOT NULL DEFAULT '',
    number          INTEGER CHECK (number > 0),
    ref_name        TEXT,
    sha             TEXT,
    pushed_at_ms    INTEGER,
    executor        TEXT,
    version         TEXT,
    resumed_from    TEXT,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'active', 'complete', 'failed', 'aborted', 'superseded')),
    failure_kind    TEXT CHECK (failure_kind IN ('job', 'pipeline', 'record', 'orphaned', 'limit', 'internal')),
    error           TEXT,
    queued_at_ms    INTEGER,
    started_at_ms   INTEGER,
    finished_at_ms  INTEGER,
    fingerprint     TEXT,
    owner           TEXT,
    -- Bytes of the stream that these rows tell of.
    stream_offset   INTEGER NOT NULL DEFAULT 0 CHECK (stream_offset >= 0),
    -- Of the run directory, in bytes, counted once after its end.
    disk_bytes      INTEGER CHECK (disk_bytes >= 0),
    UNIQUE (repo, number),
    CHECK (failure_kind IS NULL OR state NOT IN ('pending', 'active')),
    CHECK (finished_at_ms >= started_at_ms),
    CHECK (CASE state
        WHEN 'pending'    THEN queued_at_ms IS NOT NULL AND started_at_ms IS NULL AND finished_at_ms IS NULL
        WHEN 'active'     THEN started_at_ms IS NOT NULL AND finished_at_ms IS NULL
        WHEN 'complete'   THEN started_at_ms IS NOT NULL AND finished_at_ms IS NOT NULL
        WHEN 'superseded' THEN started_at_ms IS NULL AND finished_at_ms IS NOT NULL
        ELSE finished_at_ms IS NOT NULL
    END)
) STRICT;

-- Each of these ends in seq, so a filtered list comes newest first without sorting.
CREATE INDEX runs_by_number ON runs (number);
CREATE INDEX runs_by_repo ON runs (repo);
CREATE INDEX runs_by_repo_ref ON runs (repo, ref_name);
CREATE INDEX runs_by_repo_ref_state ON runs (repo, ref_name, state);
CREATE INDEX runs_by_ref ON runs (ref_name);
CREATE INDEX runs_by_repo_state ON runs (repo, state);
CREATE INDEX runs_by_state ON runs (state);
CREATE INDEX runs_by_sha ON runs (sha) WHERE sha IS NOT NULL;

CREATE TABLE jobs (
    run_id          TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job_id          TEXT NOT NULL,
    position        INTEGER NOT NULL CHECK (position >= 0),
    state           TEXT NOT NULL CHECK (state IN ('pending', 'active', 'complete', 'failed', 'skipped', 'aborted')),
    exit_code       INTEGER,
    started_at_ms   INTEGER,
    finished_at_ms  INTEGER,
    allowed         INTEGER NOT NULL CHECK (allowed IN (0, 1)),
    flaky           INTEGER NOT NULL CHECK (flaky IN (0, 1)),
    replayed        INTEGER NOT NULL CHECK (replayed IN (0, 1)),
    attempts        INTEGER NOT NULL CHECK (attempts >= 0),
    skip_reason     TEXT,
    error           TEXT,
    error_file      TEXT,
    error_line      INTEGER,
    PRIMARY KEY (run_id, job_id),
    CHECK (skip_reason IS NULL OR state = 'skipped'),
    CHECK (finished_at_ms >= started_at_ms),
    CHECK (CASE state
        WHEN 'pending' THEN started_at_ms IS NULL AND finished_at_ms IS NULL
        WHEN 'active'  THEN started_at_ms IS NOT NULL AND finished_at_ms IS NULL
        WHEN 'skipped' THEN finished_at_ms IS NOT NULL
        WHEN 'aborted' THEN finished_at_ms IS NOT NULL
        ELSE started_at_ms IS NOT NULL AND finished_at_ms IS NOT NULL
    END)
) STRICT, WITHOUT ROWID;

CREATE TABLE sh_events (
    run_id          TEXT NOT NULL,
    job_id          TEXT NOT NULL,
    n               INTEGER NOT NULL CHECK (n >= 1),
    started_at_ms   INTEGER NOT NULL,
    finished_at_ms  INTEGER,
    exit_code       INTEGER,
    cmd             TEXT NOT NULL,
    attempt         INTEGER NOT NULL CHECK (attempt >= 1),
    signal          INTEGER,
    cause           TEXT CHECK (cause IN ('timeout', 'cancel', 'limit', 'crash')),
    error           TEXT,
    no_eol          TEXT,
    masked          INTEGER NOT NULL CHECK (masked IN (0, 1)),
    truncated       INTEGER NOT NULL CHECK (truncated IN (0, 1)),
    detached        INTEGER NOT NULL CHECK (detached IN (0, 1)),
    replayed        INTEGER NOT NULL CHECK (replayed IN (0, 1)),
    PRIMARY KEY (run_id, job_id, n),
    FOREIGN KEY (run_id, job_id) REFERENCES jobs (run_id, job_id) ON DELETE CASCADE,
    CHECK (finished_at_ms >= started_at_ms),
    -- Open: neither a time nor a code. Ended: a code, unless its run died over it.
    CHECK (CASE WHEN finished_at_ms IS NULL THEN exit_code IS NULL ELSE exit_code IS NOT NULL OR cause IS 'crash' END)
) STRICT, WITHOUT ROWID;

-- A terminal state never goes back. The store's own puts skip such rows silently (a replay is no error); this stops everything else.
CREATE TRIGGER runs_stay_ended BEFORE UPDATE OF state ON runs
WHEN OLD.state NOT IN ('pending', 'active') AND NEW.state <> OLD.state
BEGIN
    SELECT RAISE(ABORT, 'a run that has ended stays as it ended');
END;

CREATE TRIGGER jobs_stay_ended BEFORE UPDATE OF state ON jobs
WHEN OLD.state NOT IN ('pending', 'active') AND NEW.state <> OLD.state
BEGIN
    SELECT RAISE(ABORT, 'a job that has ended stays as it ended');
END;

CREATE TRIGGER sh_events_stay_ended BEFORE UPDATE OF finished_at_ms ON sh_events
WHEN OLD.finished_at_ms IS NOT NULL AND NEW.finished_at_ms IS NULL
BEGIN
    SELECT RAISE(ABORT, 'a command that has ended stays ended');
END;
