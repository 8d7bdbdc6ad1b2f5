-- Moves a group to a place, see inc/group_at.lua. Answers with a refusal, or: where it was, where it
-- is, how many events it has yet to read from there.
--@keys log info
--@args base group place ms number
--@include stream_read group_at groups_of lag_at ring
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
local _, groups = groups_of(log)
if not groups[group] then
    return NO_GROUP
end
local id = place_of(log, s, place, ms, number)
if not id then
    return BEYOND_END
end
local lag = lag_at(log, id, log_ends(log, s))
raw('XGROUP', 'SETID', log, group, id)
ring(base .. group .. ':wake')
return { groups[group]['last-delivered-id'], id, lag }
