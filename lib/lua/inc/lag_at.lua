--@include number_at
-- The number of the newest event of a log, and the one up to which all events are gone.
local function log_ends(log, s)
    local newest, oldest = event_last(log), event_first(log, '-')
    local n = s.n or 0
    if newest then
        local _, last = log_entry(newest)
        n = math.max(n, last)
    end
    if not oldest then
        return n, n
    end
    local _, last, count = log_entry(oldest)
    return n, last - count
end

-- How many events a group at `place` has yet to read, how many are gone before it did, and the first
-- entry that it reads, or nil. `n` and `floor`: of log_ends().
local function lag_at(log, place, n, floor)
    local number = number_at(log, place, n)
    local unread = event_first(log, '(' .. place)
    local gone = floor
    if unread then
        local _, last, count = log_entry(unread)
        gone = math.max(floor, last - count)
    elseif not raw('XRANGE', log, '(' .. place, '+', 'COUNT', 1)[1] then
        gone = n -- others deleted the newest
    end
    local lost = math.max(0, gone - number)
    return n - number - lost, lost, unread
end
