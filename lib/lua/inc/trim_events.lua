--@include whole
-- The cap of the event stream of the queue at `base`, `set` as its settings say it; where they
-- say none, `default_cap` becomes the cap.
local function event_cap(base, set, default_cap)
    local cap = whole(set)
    if not cap then
        cap = default_cap
        call('HSET', base .. 'meta', 'opts.maxLenEvents', cap)
    end
    return cap
end

-- Keeps the event stream at its cap.
local function trim_to(base, set, default_cap)
    call('XTRIM', base .. 'events', 'MAXLEN', '~', event_cap(base, set, default_cap))
end

local function trim_events(base, default_cap)
    trim_to(base, call('HGET', base .. 'meta', 'opts.maxLenEvents'), default_cap)
end
