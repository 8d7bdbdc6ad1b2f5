-- Keeps the event stream of the queue at `base` at its cap; sets the cap where there is none.
local function trim_events(base, default_cap)
    local cap = call('HGET', base .. 'meta', 'opts.maxLenEvents')
    if not cap then
        cap = default_cap
        call('HSET', base .. 'meta', 'opts.maxLenEvents', cap)
    end
    call('XTRIM', base .. 'events', 'MAXLEN', '~', cap)
end
