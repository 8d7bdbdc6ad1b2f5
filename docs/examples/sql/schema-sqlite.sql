-- The tables of the examples, for SQLite.
PRAGMA journal_mode = WAL; -- readers and a writer at a time
CREATE TABLE listings (
    id INTEGER PRIMARY KEY,
    price INTEGER NOT NULL CHECK (price > 0),
    photos JSON NOT NULL DEFAULT '[]'
);
CREATE TABLE activity (
    queue TEXT NOT NULL,
    job TEXT NOT NULL,
    kind TEXT NOT NULL,
    data JSON NOT NULL,
    PRIMARY KEY (queue, job)
);
