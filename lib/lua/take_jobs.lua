-- Takes up to `want` jobs; see inc/take.lua for the answer.
--@keys wait active prioritized pc delayed limiter marker meta events
--@args base flags now want token lock_ms name limit_max limit_ms popped look
--@include take server_now
local clock
now, clock = server_now(now)
return take({ base = base, wait = wait, active = active, prioritized = prioritized, pc = pc,
    delayed = delayed, limiter = limiter, marker = marker, events = events },
    { flags = flags, token = token, lock_ms = lock_ms, name = name, limit_max = limit_max,
        limit_ms = limit_ms, marker = popped, look = look, clock = clock },
    now, tonumber(want), raw('HMGET', meta, 'paused', 'concurrency', 'max', 'duration'))
