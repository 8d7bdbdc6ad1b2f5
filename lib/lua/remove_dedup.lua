-- Frees a deduplication id, whoever holds it.
--@args base dedup_id
return call('DEL', base .. 'de:' .. dedup_id)
