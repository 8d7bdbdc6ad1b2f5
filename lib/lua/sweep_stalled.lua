-- Gives back jobs whose worker has gone: those that were active at the last sweep and have no
-- lock now. Then notes what is active, for the next sweep. Answers with the ids given back.
--@keys stalled stalled-check active meta repeat
--@args base flags max_events now every_ms max_stalled
--@include queue_at emit trim_events mark is_job
if call('SET', stalled_check, now, 'NX', 'PX', every_ms) == false then
    return {}
end
trim_events(base, max_events)
local q = queue_at(base, flags)
local max = tonumber(max_stalled)
local given_back = {}
for _, id in ipairs(call('SMEMBERS', stalled)) do
    local key = base .. id
    if call('EXISTS', key .. ':lock') == 0 and call('LREM', active, 1, id) > 0 then
        -- An id whose job is gone is dropped with that.
        if is_job(key) then
            local times = (tonumber(call('HGET', key, 'stc')) or 0) + 1
            call('HSET', key, 'stc', string.format('%.0f', times))
            local scheduler = call('HGET', key, 'rjk')
            if max >= 0 and times > max and
                not (scheduler and call('ZSCORE', repeat_, scheduler)) then
                call('HSET', key, 'defa', 'job stalled more than allowable limit')
            end
            call('RPUSH', q.list, id)
            emit(q, 'waiting', 'jobId', id, 'prev', 'active')
            emit(q, 'stalled', 'jobId', id)
            given_back[#given_back + 1] = id
        end
    end
end
call('DEL', stalled)
if #given_back > 0 then
    q = queue_at(base, flags)
    mark_work(q)
end
local running = call('LRANGE', active, 0, -1)
for i = 1, #running, 5000 do
    call('SADD', stalled, unpack(running, i, math.min(i + 4999, #running)))
end
return given_back
