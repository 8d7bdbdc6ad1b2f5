-- A job key in two: the queue's base and the id. The id begins at the last colon but for
-- scheduler jobs, whose ids have two colons of their own ("repeat:<scheduler>:<ms>").
local function split_key(key)
    local base, id = string.match(key, '^(.-:.-:)(repeat:.+:%d+)$')
    if not base then
        base, id = string.match(key, '^(.*:)([^:]*)$')
    end
    return base, id
end
