-- Takes up to `want` jobs; see inc/take.lua for the answer.
--@keys wait active prioritized pc delayed limiter marker meta events
--@args base flags max_events now want token lock_ms name limit_max limit_ms popped look error_ms apart
--@include take server_now
local clock
now, clock = server_now(now, error_ms)
return take(KEYS, ARGV, now, clock, tonumber(want),
    raw('HMGET', meta, 'paused', 'concurrency', 'max'))
