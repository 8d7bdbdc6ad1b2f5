-- Any job becomes a row; one that runs twice has one row.
INSERT INTO activity (queue, job, kind, data)
VALUES ($4, $2, $3, $1)
ON CONFLICT (queue, job) DO NOTHING
