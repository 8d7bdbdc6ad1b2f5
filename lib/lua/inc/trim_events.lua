--@include event_cap
-- Keeps the event stream at its cap.
local function trim_to(base, set, default_cap)
    raw('XTRIM', base .. 'events', 'MAXLEN', '~', event_cap(base, set, default_cap))
end

local function trim_events(base, default_cap)
    trim_to(base, raw('HGET', base .. 'meta', 'opts.maxLenEvents'), default_cap)
end
