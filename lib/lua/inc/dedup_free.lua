-- A job that is removed frees the deduplication id it holds, and with it the stored next job.
local function dedup_free(base, id, did)
    local key = base .. 'de:' .. did
    if raw('GET', key) == id then
        call('DEL', key, base .. 'dn:' .. did)
    end
end
