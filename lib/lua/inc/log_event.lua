--@include log_entry
-- Events in a log where others may have written too: their entries have numbers that mean nothing,
-- so what is counted, or cut, is told by the entries that are events.
local function is_event(entry)
    local _, number, count = log_entry(entry)
    for i = 1, count > 0 and number >= count and #entry[2] or 0, 2 do
        if entry[2][i] == 'e' or entry[2][i] == 'z' then
            return true
        end
    end
    return false
end

-- Of the entries that `command` gives from `from` to `to`, the first one that is an event. Nil when
-- there is none, nor among a thousand, or `most`.
local function event_among(command, log, from, to, most)
    for _, count in ipairs({ 1, most or 1000 }) do
        for _, entry in ipairs(raw(command, log, from, to, 'COUNT', count)) do
            if is_event(entry) then
                return entry
            end
        end
    end
end

-- The first event behind an id, or at it; nil when there is none.
local function event_first(log, from)
    return event_among('XRANGE', log, from, '+')
end

-- The newest event, or nil.
local function event_last(log)
    return event_among('XREVRANGE', log, '+', '-')
end
