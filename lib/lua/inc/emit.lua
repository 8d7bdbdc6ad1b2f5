-- Writes one event of queue `q`: its name, then fields and values.
local function emit(q, ...)
    if q.events_on then
        call('XADD', q.events, '*', 'event', ...)
    end
end
