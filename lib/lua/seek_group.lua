-- Moves a group to a place, see inc/group_at.lua. Answers with 0 or a refusal.
--@keys log info
--@args base group place ms number
--@include stream_read group_at groups_of ring
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
raw('XGROUP', 'SETID', log, group, id)
ring(base .. group .. ':wake')
return 0
