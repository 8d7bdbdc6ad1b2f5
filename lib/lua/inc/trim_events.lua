--@include whole
-- Keeps the event stream of the queue at `base` at its cap, `set` as its settings say it; where
-- they say none, `default_cap` becomes the cap.
local function trim_to(base, set, default_cap)
    local cap = whole(set)
    if not cap then
        cap = default_cap
        call('HSET', base .. 'meta', 'opts.maxLenEvents', cap)
    end
    call('XTRIM', base .. 'events', 'MAXLEN', '~', cap)
end

local function trim_events(base, default_cap)
    trim_to(base, call('HGET', base .. 'meta', 'opts.maxLenEvents'), default_cap)
end
