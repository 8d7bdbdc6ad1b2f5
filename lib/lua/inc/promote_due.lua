--@include queue_at promote
-- Moves jobs that are due from `delayed` to where they wait, at most 1000. Also while the
-- queue is blocked.
local function promote_due(base, flags, now)
    local q = queue_at(base, flags)
    local due = raw('ZRANGEBYSCORE', q.delayed, 0, (now + 1) * 4096 - 1, 'LIMIT', 0, 1000)
    if #due > 0 then
        call('ZREM', q.delayed, unpack(due))
    end
    for _, id in ipairs(due) do
        promote(q, id)
    end
end
