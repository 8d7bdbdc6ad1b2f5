--@include number_at
-- Where a group is in a log, and where to set it. Its place is an id, and the number in that id is
-- the number of the last event behind which it reads on, so that its lag is a subtraction.

-- The place from which a group reads `entry` next.
local function place_before(entry)
    local ms, number, count = log_entry(entry)
    if is_event(entry) then
        return string.format('%.0f-%.0f', ms, number - count)
    end
    return string.format('%.0f-%.0f', number > 0 and ms or ms - 1,
        number > 0 and number - 1 or 9007199254740991)
end

-- The place that is meant by `start`, `end`, `time` (ms) or `position` (ms and number); nil for a
-- position after the newest event. `s`: of stream_read().
local function place_of(log, s, kind, ms, number)
    local newest = log_last(log)
    local first
    if kind == 'start' then
        first = log_first(log, '-')
    elseif kind == 'time' then
        first = log_first(log, ms .. '-0')
    elseif kind == 'position' then
        local last_ms, last = s.ms, s.n or 0
        local event = event_last(log)
        if event then
            last_ms, last = log_entry(event)
        end
        if tonumber(number) > last or tonumber(ms) > math.max(last_ms, s.ms) then
            return nil
        end
        first = log_first(log, '(' .. ms .. '-' .. number)
    end
    if first then
        return place_before(first)
    end
    return newest and newest[1] or string.format('%.0f-%.0f', s.ms, s.n or 0)
end
