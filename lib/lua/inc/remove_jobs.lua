--@include emit trim_events take_out dedup_free job_keys
-- Removes jobs of one queue, with an event each. Answers gone[id]: 1 for a job that was there,
-- 0 for one that was not, nil for one that is to be tried again, see inc/leave_list.lua.
local function remove_jobs(q, ids, work, max_events)
    local state, gone, any = take_out(q, ids, work), {}, false
    for _, id in ipairs(ids) do
        if state[id] ~= nil then
            local key, keys = q.base .. id, {}
            local dedup = try('HGET', key, 'deid')
            if type(dedup) == 'string' then
                dedup_free(q.base, id, dedup)
            end
            job_keys(key, keys)
            local deleted = call('UNLINK', unpack(keys))
            if deleted > 0 then
                emit(q, 'removed', 'jobId', id, 'prev', state[id] or 'unknown')
            end
            gone[id] = (state[id] or deleted > 0) and 1 or 0
            any = any or gone[id] == 1
        end
    end
    if any then
        trim_events(q.base, max_events)
    end
    return gone
end
