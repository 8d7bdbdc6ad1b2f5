-- Takes up to `want` jobs; see inc/take.lua for the answer. A `now` with a sign is for a call that
-- waits behind a blocking one, and so does not know when it will run: it is what the worker's
-- clock is ahead of the server's, in microseconds.
--@keys wait active prioritized pc delayed limiter marker meta events
--@args base flags now want token lock_ms name limit_max limit_ms popped look
--@include take
if string.find(now, '^[+-]') then
    local time = call('TIME')
    now = string.format('%.0f', math.floor((time[1] * 1000000 + time[2] + now) / 1000))
end
return take({ base = base, wait = wait, active = active, prioritized = prioritized, pc = pc,
    delayed = delayed, limiter = limiter, marker = marker, events = events },
    { flags = flags, token = token, lock_ms = lock_ms, name = name, limit_max = limit_max,
        limit_ms = limit_ms, marker = popped, look = look },
    now, tonumber(want), call('HMGET', meta, 'paused', 'concurrency', 'max', 'duration'))
