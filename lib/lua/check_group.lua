-- Looks at a group for a member that reads its log right behind this, in the same transaction, by a
-- plain XREADGROUP of `count` entries: what a script reads is copied into Lua and out of it, which
-- costs ten times as much. All that may be between the group and new entries is left to
-- take_events.lua. The source is sent with each call, so it is short.
--
-- Counts the events that are missing before the first one that is read then; a count that others
-- spoiled keeps nobody from reading. Answers with a refusal, or: the group's place; the last id of
-- `wake`; how many are missing.
--@plain
--@keys log info
--@args base group count
--@include number_at
local s, at = raw('HMGET', info, 'layout', 'n'), nil
if s[1] and s[1] ~= STREAM_LAYOUT then
    return OTHER_LAYOUT
end
for _, fields in ipairs(try('XINFO', 'GROUPS', log)) do
    local about = {}
    for i = 1, #fields, 2 do
        about[fields[i]] = fields[i + 1]
    end
    at = about.name == group and about['last-delivered-id'] or at
end
if not at then
    return NO_GROUP
end
local first, lost = event_among('XRANGE', log, '(' .. at, '+', count), 0
if first then
    lost = missing_before(log, at, first, whole(s[2]) or 0)
end
if lost > 0 then
    try('HINCRBY', info, 'lost:' .. group, string.format('%.0f', lost))
end
local rung = try('XREVRANGE', base .. group .. ':wake', '+', '-', 'COUNT', 1)
return { at, rung[1] and rung[1][1] or '0-0', lost }
