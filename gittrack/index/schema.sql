-- One row a run, as RunState has it; params, metrics and run tags lie in `doc`.
CREATE TABLE run (
    n            INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    head         TEXT,               -- NULL: the run is active, and git knows nothing of this row
    run_commit   TEXT,
    name         TEXT NOT NULL,
    experiment   TEXT NOT NULL,
    status       TEXT NOT NULL,
    started      REAL NOT NULL,
    ended        REAL,
    deleted      INTEGER NOT NULL,
    dirty        INTEGER NOT NULL,
    code_commit  TEXT,
    branch       TEXT,
    author       TEXT NOT NULL,
    host         TEXT,
    parent       TEXT,
    attempt      INTEGER NOT NULL,
    truncated    INTEGER NOT NULL,
    description  TEXT NOT NULL,
    command      TEXT NOT NULL
);
CREATE INDEX run_newest ON run (started DESC, id);
CREATE INDEX run_active ON run (id) WHERE head IS NULL;

-- [params, metrics, tags] as JSON, and named artifacts where there are any: apart from `run`, so that a scan stays small.
CREATE TABLE doc (
    n     INTEGER PRIMARY KEY,
    json  BLOB NOT NULL
);

-- Which runs have an artifact of a name.
CREATE TABLE artifact (
    name  TEXT NOT NULL,
    run   INTEGER NOT NULL,
    PRIMARY KEY (name, run)
) WITHOUT ROWID;

-- Every key in use, and by how many runs.
CREATE TABLE key (
    n       INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL,
    name    TEXT NOT NULL,
    runs    INTEGER NOT NULL,
    filled  INTEGER NOT NULL DEFAULT 0,  -- 1: `cell` holds its column
    UNIQUE (kind, name)
);

-- The columns that somebody filtered or sorted by, filled when first asked for: most keys never are.
CREATE TABLE cell (
    key   INTEGER NOT NULL,
    run   INTEGER NOT NULL,
    num,                             -- the value as a number, when it is one or reads as one
    text  TEXT,                      -- the value as text, unless it is a number
    PRIMARY KEY (key, run)
) WITHOUT ROWID;

-- Heads that could not be read, so that they are not read again each time.
CREATE TABLE damage (
    id       TEXT PRIMARY KEY,
    head     TEXT NOT NULL,
    place    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    version  TEXT NOT NULL           -- the gittrack that tried; another one may know better
);

-- `heads`: the sum of all heads above, as numbers; it tells at a glance whether git has something new.
CREATE TABLE meta (
    name   TEXT PRIMARY KEY,
    value  TEXT NOT NULL
);
