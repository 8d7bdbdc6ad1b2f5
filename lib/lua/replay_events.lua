-- Has events run once more in a group alone, in order: appends them to what the group runs again.
-- Answers with how many, or a refusal.
--@keys log
--@args base group
--@rest position event
--@include groups_of again_add ring
local _, groups = groups_of(log)
if not groups[group] then
    return NO_GROUP
end
for i = first, #ARGV, 2 do
    again_add(base .. group .. ':again', group, ARGV[i], ARGV[i + 1])
end
ring(base .. group .. ':wake')
return (#ARGV - first + 1) / 2
