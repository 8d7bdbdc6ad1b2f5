-- The members of a group that were heard of within a minute or still have entries, by name, for each:
-- name, entries of the log that it has, events to run again that it has, ms since it was heard of.
-- RELEASED, which has what was given back, is among them. Answers with a refusal or these.
--@keys log
--@args base group
--@include groups_of
local _, groups = groups_of(log)
if not groups[group] then
    return NO_GROUP
end
local members, found = {}, {}
local function add(rows, at)
    for _, about in ipairs(tables_of(rows)) do
        local member = found[about.name]
        if not member then
            member = { about.name, 0, 0, about.idle }
            found[about.name], members[#members + 1] = member, member
        end
        member[at], member[4] = about.pending, math.min(member[4], about.idle)
    end
end
add(raw('XINFO', 'CONSUMERS', log, group), 2)
add(try('XINFO', 'CONSUMERS', base .. group .. ':again', group), 3)
local answer = {}
for _, member in ipairs(members) do
    if member[2] + member[3] > 0 or member[1] ~= RELEASED and member[4] < MEMBER_MS then
        answer[#answer + 1] = member
    end
end
table.sort(answer, function(a, b)
    return a[1] < b[1]
end)
return answer
