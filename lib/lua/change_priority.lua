-- Gives a job another priority, and its place if it waits. `lifo`: before its equals.
--@keys wait paused prioritized
--@args base flags id priority lifo
--@include queue_at push
if raw('EXISTS', base .. id) == 0 then
    return NO_JOB
end
local q = queue_at(base, flags)
local waits = call('ZREM', prioritized, id) == 1
for _, list in ipairs({ wait, paused }) do
    if not waits and call('LREM', list, -1, id) > 0 then
        waits = true
        q.list = list
    end
end
if waits then
    push(q, id, tonumber(priority), lifo == '1')
end
call('HSET', base .. id, 'priority', priority)
return 0
