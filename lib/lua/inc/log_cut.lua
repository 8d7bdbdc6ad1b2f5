--@include log_event
-- Where to cut a log: nil for one without events, else the id for XTRIM MINID, and the number and
-- the time before which nothing is left then. Entries go whose events all have numbers up to
-- `last`, and those from before `before_ms`. An entry is not found by number, because ids begin
-- with a time; but numbers grow with time, so a bisection by time finds the first one to stay.
local function log_cut(log, last, before_ms)
    local first, newest = event_first(log, '-'), event_last(log)
    if not first then
        return nil
    end
    local low, number = log_entry(first)
    local high, highest = log_entry(newest)
    local cut = string.format('%.0f-0', before_ms)
    if number <= last then
        high = high + 1
        -- The first entry from `low` on is to go; that from `high` on stays, or there is none.
        while high - low > 1 do
            local middle = math.floor((low + high) / 2)
            local found = event_first(log, string.format('%.0f-0', middle))
            local _, at = log_entry(found or newest)
            if found and at <= last then
                low = middle
            else
                high = middle
            end
        end
        if low >= before_ms then
            cut = string.format('%.0f-%.0f', low, last + 1)
        end
    end
    local stays = event_first(log, cut)
    if not stays then
        return cut, highest, high
    end
    local ms, n, count = log_entry(stays)
    return cut, n - count, ms
end
