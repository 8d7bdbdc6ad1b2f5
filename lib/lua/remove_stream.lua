-- Removes a stream and all that belongs to it. Answers with 1, or 0 when there was none, or
-- GROUP_ACTIVE: a group has members, and `force` is not 1.
--@keys log info binds routes seen0 seen1
--@args base force prefix stream
--@include drop_keys groups_of
local keys = { log, info, binds, routes, seen0, seen1 }
local is_log = raw('TYPE', log).ok == 'stream'
for _, group in ipairs(is_log and groups_of(log) or {}) do
    if force ~= '1' and members_of(log, group.name) > 0 then
        return GROUP_ACTIVE
    end
    for _, suffix in ipairs({ 'dead', 'again', 'gone', 'owner', 'wake' }) do
        keys[#keys + 1] = base .. group.name .. ':' .. suffix
    end
end
local found = raw('EXISTS', unpack(keys, 1, 3))
call('SREM', prefix .. '::ox:streams', stream)
drop_keys(keys)
return found > 0 and 1 or 0
