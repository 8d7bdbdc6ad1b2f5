-- Removes jobs of `state` ('wait', 'paused', 'prioritized' or 'delayed') that no worker has
-- begun, looking at `limit` ids behind the first `skip`. Schedulers' current jobs stay.
-- Answers with how many were removed, how many stay of those, and how many ids are left.
--@args base flags now state skip limit
--@include scheduler_current delete_jobs drop_at
local key = base .. state
local list = state == 'wait' or state == 'paused'
local ids, indexes, stay = {}, {}, 0
for i, id in ipairs(call(list and 'LRANGE' or 'ZRANGE', key, skip, skip + limit - 1)) do
    if scheduler_current(base, id) then
        stay = stay + 1
    else
        ids[#ids + 1] = id
        indexes[#ids] = skip + i - 1
    end
end
if list then
    drop_at(key, indexes, 1, ids)
elseif #ids > 0 then
    call('ZREM', key, unpack(ids))
end
delete_jobs(base, flags, ids, tonumber(now))
return { #ids, stay, call(list and 'LLEN' or 'ZCARD', key) }
