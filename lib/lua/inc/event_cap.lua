--@include whole
-- The cap of the event stream of the queue at `base`, `set` as its settings say it; where they
-- say none, `default_cap` becomes the cap.
local function event_cap(base, set, default_cap)
    local cap = whole(set)
    if not cap then
        cap = default_cap
        raw('HSET', base .. 'meta', 'opts.maxLenEvents', cap)
    end
    return cap
end
