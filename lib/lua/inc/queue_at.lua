--@include whole
-- The keys of the queue at `base` ("prefix:name:") and what its settings say now.
-- `flags`: 'e' write events, 'l' share pausing with BullMQ 5.x (list `paused`).
-- q.list is where a waiting job is pushed; q.blocked is true while nothing may start.
local function queue_at(base, flags)
    local set = raw('HMGET', base .. 'meta', 'paused', 'concurrency')
    local paused = set[1] and true or false
    local q = {
        base = base,
        flags = flags,
        events_on = string.find(flags, FLAG_EVENTS, 1, true),
        events = base .. 'events',
        marker = base .. 'marker',
        delayed = base .. 'delayed',
        prioritized = base .. 'prioritized',
        pc = base .. 'pc',
        waiting_children = base .. 'waiting-children',
        paused = paused,
        list = base .. 'wait',
    }
    if paused and string.find(flags, FLAG_LEGACY_PAUSE, 1, true) then
        q.list = base .. 'paused'
    end
    q.blocked = paused
    local most = whole(set[2])
    if most and not paused then
        q.blocked = raw('LLEN', base .. 'active') >= most
    end
    return q
end
