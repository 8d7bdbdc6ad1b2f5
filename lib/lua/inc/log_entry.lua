--@include whole
-- The parts of an entry of a stream's log: ms and number of its id, and how many events it has.
local function log_entry(entry)
    local ms, number = string.match(entry[1], '^(%d+)-(%d+)$')
    local count = 1
    for i = 1, #entry[2], 2 do
        if entry[2][i] == 'c' then
            count = whole(entry[2][i + 1]) or 1
        end
    end
    return tonumber(ms), tonumber(number), count
end

-- The first entry behind an id, or at it; nil when there is none.
local function log_first(log, from)
    return raw('XRANGE', log, from, '+', 'COUNT', 1)[1]
end

-- The newest entry, or nil.
local function log_last(log)
    return raw('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
end
