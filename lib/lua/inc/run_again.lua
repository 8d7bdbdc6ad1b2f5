--@include push emit decode_json
-- A retried child is pending again. A parent that has gone on does not come back for it.
local function child_again(child, parent_key, state)
    if raw('EXISTS', parent_key) == 0 then
        return
    end
    local left
    if state == 'failed' then
        left = call('ZREM', parent_key .. ':unsuccessful', child) == 1 or
            call('HDEL', parent_key .. ':failed', child) == 1
    else
        left = call('HDEL', parent_key .. ':processed', child) == 1
    end
    if left then
        call('SADD', parent_key .. ':dependencies', child)
    end
end

-- Options are a user's own text: what is no JSON says nothing.
local function is_lifo(opts)
    return decode_json(opts)['lifo'] == true
end

-- Lets a job wait again that has left `state` ('completed' or 'failed'). `forget`: fields that
-- go besides those its end wrote.
local function run_again(q, id, state, forget)
    local key = q.base .. id
    call('HDEL', key, 'finishedOn', 'processedOn',
        state == 'failed' and 'failedReason' or 'returnvalue', unpack(forget))
    local f = raw('HMGET', key, 'priority', 'opts', 'parentKey')
    if f[3] then
        child_again(key, f[3], state)
    end
    local priority = tonumber(f[1]) or 0
    push(q, id, priority, priority == 0 and is_lifo(f[2]))
    emit(q, 'waiting', 'jobId', id, 'prev', state)
end
