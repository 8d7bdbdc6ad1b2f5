-- A job key in two: the queue's base and the id. The id begins at the last colon, but ids with
-- colons of their own exist: those of scheduler jobs ("repeat:<scheduler>:<ms>"), and BullMQ
-- lets a producer choose one with two colons. Every queue has its settings, so they show where
-- such a key's base ends. The text is another program's and may be a megabyte of colons: each
-- step goes through it once, and there are few.
local function split_key(key)
    local colon = string.find(key, ':', 1, true)
    local at = colon and string.find(key, ':repeat:', colon + 1, true)
    if at and string.find(key, ':%d+$', math.max(at + 9, #key - 20)) then
        return string.sub(key, 1, at), string.sub(key, at + 1)
    end
    local last = string.match(key, '^.*:') or ''
    local base = last
    for _ = 1, 8 do
        if base == '' then
            break
        elseif raw('EXISTS', base .. 'meta') == 1 then
            return base, string.sub(key, #base + 1)
        end
        base = string.match(string.sub(base, 1, -2), '^.*:') or ''
    end
    return last, string.sub(key, #last + 1)
end
