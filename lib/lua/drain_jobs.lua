-- Removes jobs of `state` ('wait', 'paused', 'prioritized' or 'delayed') that no worker has
-- begun, looking at `limit` ids behind the first `skip`. Schedulers' current jobs stay.
-- Answers with how many were removed, how many stay of those, and how many ids are left.
--@args base flags now state skip limit
--@include scheduler_current delete_jobs drop_ids
local key = base .. state
local list = state == 'wait' or state == 'paused'
local ids, stay = {}, 0
for _, id in ipairs(call(list and 'LRANGE' or 'ZRANGE', key, skip, skip + limit - 1)) do
    if scheduler_current(base, id) then
        stay = stay + 1
    else
        ids[#ids + 1] = id
    end
end
drop_ids(key, ids, 1)
delete_jobs(base, flags, ids, tonumber(now))
return { #ids, stay, call(list and 'LLEN' or 'ZCARD', key) }
