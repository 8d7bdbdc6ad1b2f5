-- A job key in two: the queue's base and the id. The id begins at the last colon, but ids with
-- colons of their own exist: those of scheduler jobs ("repeat:<scheduler>:<ms>"), and BullMQ
-- lets a producer choose one with two colons. Every queue has its settings, so they show where
-- such a key's base ends.
local function split_key(key)
    local base, id = string.match(key, '^(.-:.-:)(repeat:.+:%d+)$')
    if base then
        return base, id
    end
    local last = string.match(key, '^(.*:)[^:]*$') or ''
    base = last
    while base and call('EXISTS', base .. 'meta') == 0 do
        base = string.match(base, '^(.*:)[^:]*:$')
    end
    base = base or last
    return base, string.sub(key, #base + 1)
end
