-- A job whose data is an array becomes a row for each element: all of them, or none.
INSERT INTO activity (queue, job, kind, data)
SELECT $4, $2 || ':' || (key + 1), $3, value
FROM json_each($1) WHERE true
ON CONFLICT (queue, job) DO NOTHING
