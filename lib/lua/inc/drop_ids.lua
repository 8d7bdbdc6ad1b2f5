-- Takes ids out of the list or sorted set `key`; they stand near its end `from` (1 head, -1
-- tail).
local function drop_ids(key, ids, from)
    if #ids == 0 then
        return
    end
    if call('TYPE', key)['ok'] == 'zset' then
        call('ZREM', key, unpack(ids))
        return
    end
    for _, id in ipairs(ids) do
        call('LREM', key, from, id)
    end
end
