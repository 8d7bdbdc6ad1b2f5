-- Removes a stream and all that belongs to it. Answers with 1, or 0 when there was none, or
-- GROUP_ACTIVE: a group has members, and `force` is not 1.
--@keys log info binds routes seen0 seen1
--@args base force prefix stream
--@include drop_keys
local keys = { log, info, binds, routes, seen0, seen1 }
local groups = try('XINFO', 'GROUPS', log)
for _, group in ipairs(groups.err and {} or groups) do
    local about = {}
    for i = 1, #group, 2 do
        about[group[i]] = group[i + 1]
    end
    if about.consumers > 0 and force ~= '1' then
        return GROUP_ACTIVE
    end
    for _, suffix in ipairs({ 'dead', 'again', 'owner' }) do
        keys[#keys + 1] = base .. about.name .. ':' .. suffix
    end
end
local found = raw('EXISTS', unpack(keys, 1, 3))
call('SREM', prefix .. '::ox:streams', stream)
drop_keys(keys)
return found > 0 and 1 or 0
