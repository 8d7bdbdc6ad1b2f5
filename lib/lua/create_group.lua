-- Makes a group at a place, see inc/group_at.lua, and the stream if it is new. Answers with 1; 0
-- when the group is there already; or a refusal.
--@keys log info
--@args prefix stream group place ms number
--@include stream_read group_at groups_of
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
local _, groups = groups_of(log)
if groups[group] then
    return 0
end
local id = place_of(log, s, place, ms, number)
if not id then
    return BEYOND_END
end
if not s.known then
    stream_create(info, prefix, stream)
end
raw('XGROUP', 'CREATE', log, group, id, 'MKSTREAM')
return 1
