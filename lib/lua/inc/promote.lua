--@include emit push
-- Lets a job wait that has left `delayed`. False when there is no such job.
local function promote(q, id)
    local key = q.base .. id
    local priority = tonumber(call('HGET', key, 'priority')) or 0
    if priority == 0 and call('EXISTS', key) == 0 then
        return false
    end
    push(q, id, priority, false)
    emit(q, 'waiting', 'jobId', id, 'prev', 'delayed')
    call('HSET', key, 'delay', '0')
    return true
end
