-- One row a run, as RunState has it; params, metrics and run tags lie in `doc`.
CREATE TABLE run (
    n            INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    head         TEXT,               -- NULL: the run is active, and this row is what its journal says
    recorded     TEXT,               -- of an active run that git has too: its head there
    ledgered     INTEGER NOT NULL,   -- 1: some ledger has it; 0: only a ref of its own does
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
-- run_commit, on that column, is made when the first look at git is over (database.py).

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

-- Which runs left a content in a file, by the content's short name (`short_content`).
CREATE TABLE result (
    content  TEXT NOT NULL,
    run      INTEGER NOT NULL,
    PRIMARY KEY (content, run)
) WITHOUT ROWID;
CREATE INDEX result_run ON result (run);

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

-- Every amendment, and the run commit's line of each run that has one: what a run folds from.
CREATE TABLE amendment (
    id    TEXT PRIMARY KEY,          -- the amendment's commit
    run   TEXT NOT NULL,
    line  BLOB NOT NULL,
    ledgered  INTEGER NOT NULL       -- 0: only the run's own ref leads to it
) WITHOUT ROWID;
CREATE INDEX amendment_run ON amendment (run);
CREATE TABLE origin (
    run   TEXT PRIMARY KEY,
    id    TEXT NOT NULL,             -- the run commit
    line  BLOB NOT NULL
) WITHOUT ROWID;

-- What beside its params a run's numbers rest on, by short names; filled when runs are first grouped, for it is read from git.
CREATE TABLE ground (
    run          TEXT PRIMARY KEY,
    run_commit   TEXT NOT NULL,      -- what was read; another one is read anew
    code         TEXT NOT NULL,
    data         TEXT NOT NULL,
    environment  TEXT NOT NULL
) WITHOUT ROWID;

-- How far each ref was read, and of which run it is (NULL: a ledger).
CREATE TABLE place (
    ref  TEXT PRIMARY KEY,
    tip  TEXT NOT NULL,
    run  TEXT
) WITHOUT ROWID;

-- Runs that were deleted for good.
CREATE TABLE purged (
    run  TEXT PRIMARY KEY
) WITHOUT ROWID;

-- What could not be read, so that it is not read again each time: runs by their id, members and pages by their commit.
CREATE TABLE damage (
    id       TEXT PRIMARY KEY,
    head     TEXT NOT NULL,          -- where to begin reading it again
    ledger   INTEGER NOT NULL,       -- 1: a page of a ledger or a member of one
    place    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    version  TEXT NOT NULL           -- the gittrack that tried; another one may know better
);

-- `refs`: a digest of all refs as they were when all of them had been read; it tells at a glance whether git has something
-- new. `generation`: counts the writes, so that who prepared one sees that another came first.
CREATE TABLE meta (
    name   TEXT PRIMARY KEY,
    value  TEXT NOT NULL
);
