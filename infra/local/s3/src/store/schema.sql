-- Layout version 1; the number is in PRAGMA user_version.
CREATE TABLE buckets (
    name       TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    versioning TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- Bucket sub-resources as the XML (policies: the text) that was put.
CREATE TABLE bucket_documents (
    bucket   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (bucket, kind)
) WITHOUT ROWID;

-- seq never falls, even after deletions: it orders versions and becomes the sequencer of events.
CREATE TABLE versions (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket      TEXT NOT NULL,
    key         TEXT NOT NULL,
    version_id  TEXT NOT NULL,
    latest      INTEGER NOT NULL,
    marker      INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    etag        TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    attributes  TEXT NOT NULL,
    UNIQUE (bucket, key, version_id)
);
CREATE INDEX versions_by_age ON versions (bucket, key, seq DESC);
CREATE INDEX versions_latest ON versions (bucket, key) WHERE latest = 1 AND marker = 0;

CREATE TABLE segments (
    version INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    body    TEXT NOT NULL,
    size    INTEGER NOT NULL,
    PRIMARY KEY (version, part)
) WITHOUT ROWID;

CREATE TABLE uploads (
    id           TEXT PRIMARY KEY,
    bucket       TEXT NOT NULL,
    key          TEXT NOT NULL,
    initiated_ms INTEGER NOT NULL,
    attributes   TEXT NOT NULL,
    checksum     TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_by_key ON uploads (bucket, key, id);

CREATE TABLE parts (
    upload      TEXT NOT NULL,
    part        INTEGER NOT NULL,
    body        TEXT NOT NULL,
    size        INTEGER NOT NULL,
    md5         TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    checksum    TEXT NOT NULL,
    PRIMARY KEY (upload, part)
) WITHOUT ROWID;

-- Notifications not yet acknowledged. lane: '' for the event bus, else a function's ARN.
CREATE TABLE pending (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    lane     TEXT NOT NULL,
    payload  TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_ms   INTEGER NOT NULL
);
CREATE INDEX pending_by_lane ON pending (lane, due_ms, id);
