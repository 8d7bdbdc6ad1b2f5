--@include emit push
-- Moves jobs that are due from `delayed` to where they wait, at most 1000. Also while the
-- queue is blocked. Returns how many.
local function promote_due(q, now)
    local due = call('ZRANGEBYSCORE', q.delayed, 0, (now + 1) * 4096 - 1, 'LIMIT', 0, 1000)
    if #due == 0 then
        return 0
    end
    call('ZREM', q.delayed, unpack(due))
    for _, id in ipairs(due) do
        local key = q.base .. id
        local priority = tonumber(call('HGET', key, 'priority')) or 0
        if priority > 0 or call('EXISTS', key) == 1 then
            push(q, id, priority, false)
            emit(q, 'waiting', 'jobId', id, 'prev', 'delayed')
            call('HSET', key, 'delay', '0')
        end
    end
    return #due
end
