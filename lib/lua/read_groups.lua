-- The groups of a stream, for each: name, place, lag (events), its age in ms, entries that are
-- pending, dead letters, events to run again, events lost, members, owner ('' for none), dead
-- letters that were dropped.
--@keys log info
--@args base now
--@include stream_read lag_at groups_of server_now
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
local time = tonumber((server_now(now, '-1')))
local groups = groups_of(log)
local n, floor = log_ends(log, s)

local function size_of(command, key)
    local size = try(command, key)
    return type(size) == 'number' and size or 0
end

local answer = {}
for i, group in ipairs(groups) do
    local place, own = group['last-delivered-id'], base .. group.name .. ':'
    local lag, lost, unread = lag_at(log, place, n, floor)
    local owner = try('GET', own .. 'owner')
    local counts = raw('HMGET', info, 'lost:' .. group.name, 'dropped:' .. group.name)
    answer[i] = { group.name, place, lag,
        unread and math.max(0, time - (log_entry(unread))) or 0, group.pending,
        size_of('XLEN', own .. 'dead'), size_of('XLEN', own .. 'again'),
        (whole(counts[1]) or 0) + lost, members_of(log, group.name),
        type(owner) == 'string' and owner or '', whole(counts[2]) or 0 }
end
return answer
