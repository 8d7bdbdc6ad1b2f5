-- Pauses the queue and removes up to `limit` of its jobs and schedulers, whatever their state.
-- Without `force` not while jobs are active (-12). Answers with 1 when there are more.
--@keys meta marker active repeat
--@args base flags now limit force
--@include delete_jobs
if force == '0' and raw('EXISTS', active) == 1 then
    return JOBS_ACTIVE
end
call('HSET', meta, 'paused', '1')
call('DEL', marker)
local left = tonumber(limit)

local schedulers = raw('ZRANGE', repeat_, 0, left - 1)
for _, id in ipairs(schedulers) do
    call('DEL', repeat_ .. ':' .. id)
end
call('ZREMRANGEBYRANK', repeat_, 0, left - 1)
left = left - #schedulers

for _, state in ipairs({ 'active', 'wait', 'paused', 'delayed', 'prioritized',
    'waiting-children', 'completed', 'failed' }) do
    if left > 0 then
        local key = base .. state
        local list = state == 'active' or state == 'wait' or state == 'paused'
        local ids = call(list and 'LRANGE' or 'ZRANGE', key, 0, left - 1)
        if state == 'active' then
            for _, id in ipairs(ids) do
                call('DEL', base .. id .. ':lock')
            end
        end
        if list then
            call('LTRIM', key, left, -1)
        else
            call('ZREMRANGEBYRANK', key, 0, left - 1)
        end
        delete_jobs(base, flags, ids, tonumber(now))
        left = left - #ids
    end
end
return left > 0 and 0 or 1
