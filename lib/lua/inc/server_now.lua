-- The time of all that a script does, in ms and in us, as text: the server's, since the clocks of
-- workers differ. `otherwise` (ms), and no us, where the user may not call TIME.
local function server_now(otherwise)
    local time = try('TIME')
    if not time[1] then
        return otherwise, nil
    end
    local us = string.format('%s%06d', time[1], time[2])
    return string.sub(us, 1, -4), us
end

-- A time of a job that is not before an earlier one of it: these come from other clocks.
local function not_before(earlier, now)
    if earlier and #earlier == #now and earlier > now and not string.find(earlier, '%D') then
        return earlier
    end
    return now
end
