--@include log_event
-- The number of the last event that a group at `place` has read. `n`: of the newest event.
local function number_at(log, place, n)
    local number = tonumber(string.match(place, '%d+$'))
    for _, most in ipairs({ 1, 100 }) do
        for _, entry in ipairs(raw('XREVRANGE', log, place, '-', 'COUNT', most)) do
            local _, last = log_entry(entry)
            if is_event(entry) then
                return number >= last and number <= n and number or last
            end
        end
    end
    if number <= n then
        return number
    end
    local oldest = event_first(log, '-') -- before it only others have written
    local last, count = n, 0
    if oldest then
        last, count = select(2, log_entry(oldest))
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
