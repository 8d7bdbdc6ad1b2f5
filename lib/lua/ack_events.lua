-- Acknowledges entries of the log that a member of a group has, each only if it is still this
-- member's: what end_events.lua does where nothing else is to be done with any of them.
--
-- `low`, `high`: the lowest and the highest of the ids that follow. `held`: how many entries the
-- member has. Answers with pairs of refusals: the place of the id, from 1, and NOT_HELD or
-- NOT_PENDING.
--@keys log
--@args base group member held low high
--@rest id
--@include gone_is_odd
local gone, mine, acks, refused = base .. group .. ':gone', {}, {}, {}
local rows = try('XPENDING', log, group, low, high, held + 1000, member)
if rows.err and not string.find(rows.err, 'NOGROUP', 1, true) then
    error(rows.err, 0)
end
for i = 1, #rows do
    mine[rows[i][1]] = true
end
for i = first, #ARGV do
    local id, other = ARGV[i], nil
    if not mine[id] then
        other = try('XPENDING', log, group, id, id, 1)[1]
        mine[id] = other and other[2] == member
    end
    if mine[id] then
        acks[#acks + 1] = id
    else
        refused[#refused + 1] = i - first + 1
        refused[#refused + 1] = other and NOT_HELD or NOT_PENDING
    end
end
if #acks > 0 then
    if raw('EXISTS', gone) == 1 and not gone_is_odd(gone) then -- retention took some that members have
        call('HDEL', gone, unpack(acks))
    end
    raw('XACK', log, group, unpack(acks))
end
return refused
