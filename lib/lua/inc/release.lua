--@include emit push mark
-- Lets a parent that waited for its children run: `id` in queue `q`.
local function release(q, id, now)
    local key = q.base .. id
    if raw('EXISTS', key) == 0 or call('ZREM', q.waiting_children, id) == 0 then
        return
    end
    local job = try('HMGET', key, 'priority', 'delay')
    local priority, delay = tonumber(job[1]) or 0, tonumber(job[2]) or 0
    if delay > 0 then
        local due = now + delay
        call('ZADD', q.delayed, due * 4096, id)
        emit(q, 'delayed', 'jobId', id, 'delay', string.format('%.17g', due))
        mark_delay(q)
    else
        push(q, id, priority, priority == 0)
        emit(q, 'waiting', 'jobId', id, 'prev', 'waiting-children')
    end
end

-- The same, if no child is pending any more.
local function release_if_ready(q, id, now)
    if raw('SCARD', q.base .. id .. ':dependencies') == 0 then
        release(q, id, now)
    end
end
