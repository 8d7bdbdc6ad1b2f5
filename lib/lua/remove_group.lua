-- Removes a group and what belongs to it. Answers with 1, or 0 when there was none, or
-- GROUP_ACTIVE: it has members, and `force` is not 1.
--@keys log info
--@args base group force
--@include groups_of must_be_allowed
local _, groups = groups_of(log)
if not groups[group] then
    return 0
end
if force ~= '1' and members_of(log, group) > 0 then
    return GROUP_ACTIVE
end
-- Neither a stream nor a group that is deleted can be taken back, so the group goes as the last
-- thing that can fail.
local own, gone = base .. group .. ':', {}
for _, suffix in ipairs({ 'dead', 'again' }) do
    if raw('EXISTS', own .. suffix) == 1 then
        must_be_allowed('UNLINK', own .. suffix .. '-gone')
        call('RENAME', own .. suffix, own .. suffix .. '-gone')
        gone[#gone + 1] = own .. suffix .. '-gone'
    end
end
call('HDEL', info, 'lost:' .. group, 'dropped:' .. group, 'lease:' .. group)
raw('XGROUP', 'DESTROY', log, group)
gone[#gone + 1] = own .. 'gone'
gone[#gone + 1] = own .. 'owner'
gone[#gone + 1] = own .. 'wake'
try('UNLINK', unpack(gone))
return 1
