-- Jobs start again. What BullMQ 5.x (or we, for its sake) parked in `paused` goes back to
-- `wait`, where it runs before what came later: up to `limit` jobs; answers with how many are
-- left.
--@keys meta wait paused prioritized
--@args base flags limit quiet
--@include queue_at emit mark
call('HDEL', meta, 'paused')
if raw('LLEN', paused) > 0 then
    if raw('EXISTS', wait) == 0 then
        call('RENAME', paused, wait)
    else
        local ids = raw('LRANGE', paused, 0, limit - 1)
        call('RPUSH', wait, unpack(ids))
        call('LTRIM', paused, #ids, -1)
    end
end
local q = queue_at(base, flags)
if raw('EXISTS', wait, prioritized) > 0 then
    mark_work(q)
end
mark_delay(q)
if quiet == '0' then
    emit(q, 'resumed')
end
return raw('LLEN', paused)
