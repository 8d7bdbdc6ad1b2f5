-- Makes a binding, or changes it. `field` and `rest`: its pattern and queue, and all but the
-- beginning of its JSON. Answers with 1 for a new one, else 0.
--@keys info binds routes
--@args prefix stream field rest
--@include stream_read drop_keys
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
-- In a Redis Cluster jobs of another slot would be made where no worker looks for them.
local slot = try('CLUSTER', 'KEYSLOT', binds)
if type(slot) == 'number' and
    slot ~= raw('CLUSTER', 'KEYSLOT', prefix .. ':' .. string.match(field, ' (.*)$') .. ':wait') then
    return OTHER_SLOT
end
if not s.known then
    stream_create(info, prefix, stream)
end
local old = raw('HGET', binds, field)
local number = old and string.match(old, '^{"n":(%d+),')
if not number then
    number = call('HINCRBY', info, 'bound', '1')
end
call('HSET', binds, field, '{"n":' .. number .. ',' .. rest)
drop_keys({ routes })
return old and 0 or 1
