--@include log_event
-- The number of the last event that a group at `place` has read. `n`: of the newest event.
local function number_at(log, place, n)
    local number, others = tonumber(string.match(place, '%d+$')), false
    for _, most in ipairs({ 1, 1000 }) do
        for _, entry in ipairs(raw('XREVRANGE', log, place, '-', 'COUNT', most)) do
            local _, last = log_entry(entry)
            if is_event(entry) then
                return number >= last and number <= n and number or last
            end
            others = others or entry[1] == place -- its number means nothing
        end
    end
    if number <= n and not others then
        return number
    end
    -- Before it only others have written, or a thousand entries in a row: nothing is missing.
    local next_one = event_first(log, place)
    local last, count = n, 0
    if next_one then
        last, count = select(2, log_entry(next_one))
    end
    return last - count
end

-- How many events are missing between where a group is and `entry`, the first with events that it
-- reads from there. `n`: of the newest event.
local function missing_before(log, at, entry, n)
    local _, last, count = log_entry(entry)
    local number = tonumber(string.match(at, '%d+$'))
    if number ~= last - count then
        number = number_at(log, at, math.max(n, last))
    end
    return math.max(0, last - count - number)
end
