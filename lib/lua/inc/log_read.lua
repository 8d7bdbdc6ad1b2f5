--@include group_at
-- Up to where all groups have read a log and are done with it, as ms and number: entries up to the
-- number, and those from before the ms, are no group's any more. Without groups that is all.
local function log_read(log, n)
    local read_ms, read = math.huge, math.huge
    local function hold(id, number)
        read_ms = math.min(read_ms, tonumber(string.match(id, '^%d+')))
        read = math.min(read, number)
    end
    for _, group in ipairs(raw('XINFO', 'GROUPS', log)) do
        local about = {}
        for i = 1, #group, 2 do
            about[group[i]] = group[i + 1]
        end
        local at = about['last-delivered-id']
        hold(at, number_at(log, at, n))
        local oldest = about.pending > 0 and raw('XPENDING', log, about.name)[2]
        if oldest then
            hold(oldest, number_at(log, oldest, n) - 1)
        end
    end
    return read_ms, read
end
