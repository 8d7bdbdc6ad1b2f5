-- The groups of a stream, for each: name, place, lag (events), its age in ms, entries that are
-- pending, dead letters, events to run again, events lost, members, owner ('' for none), dead
-- letters that were dropped.
--@keys log info
--@args base now
--@include stream_read group_at groups_of server_now
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
local time = tonumber((server_now(now, '-1')))
local groups = groups_of(log)
local newest, oldest = event_last(log), event_first(log, '-')
local n, floor = s.n or 0, s.floor
if newest then
    local _, last = log_entry(newest)
    n = math.max(n, last)
end
if oldest then
    local _, last, count = log_entry(oldest)
    floor = last - count
else
    floor = n
end

local function size_of(command, key)
    local size = try(command, key)
    return type(size) == 'number' and size or 0
end

local answer = {}
for i, group in ipairs(groups) do
    local place, own = group['last-delivered-id'], base .. group.name .. ':'
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
    local owner = try('GET', own .. 'owner')
    local counts = raw('HMGET', info, 'lost:' .. group.name, 'dropped:' .. group.name)
    answer[i] = { group.name, place, n - number - lost,
        unread and math.max(0, time - (log_entry(unread))) or 0, group.pending,
        size_of('XLEN', own .. 'dead'), size_of('XLEN', own .. 'again'),
        (whole(counts[1]) or 0) + lost, members_of(log, group.name),
        type(owner) == 'string' and owner or '', whole(counts[2]) or 0 }
end
return answer
