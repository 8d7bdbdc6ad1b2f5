-- A job whose data is an array becomes a row for each element: all of them, or none.
INSERT INTO activity (queue, job, kind, data)
SELECT $4, $2 || ':' || n, $3, element
FROM json_array_elements($1::json) WITH ORDINALITY AS batch (element, n)
ON CONFLICT (queue, job) DO NOTHING
