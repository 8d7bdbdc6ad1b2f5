-- The tables of the examples, for PostgreSQL.
CREATE TABLE listings (
    id integer PRIMARY KEY,
    price integer NOT NULL CHECK (price > 0),
    photos jsonb NOT NULL DEFAULT '[]'
);
CREATE TABLE activity (
    queue text NOT NULL,
    job text NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (queue, job)
);
