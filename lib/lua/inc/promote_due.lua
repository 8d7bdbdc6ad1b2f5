--@include promote
-- Moves jobs that are due from `delayed` to where they wait, at most 1000. Also while the
-- queue is blocked. Returns how many.
local function promote_due(q, now)
    local due = call('ZRANGEBYSCORE', q.delayed, 0, (now + 1) * 4096 - 1, 'LIMIT', 0, 1000)
    if #due == 0 then
        return 0
    end
    call('ZREM', q.delayed, unpack(due))
    for _, id in ipairs(due) do
        promote(q, id)
    end
    return #due
end
