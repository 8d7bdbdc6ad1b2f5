--@include emit push is_job
-- Lets a job wait that has left `delayed`. False when there is no such job.
local function promote(q, id)
    local key = q.base .. id
    local priority = try('HGET', key, 'priority')
    -- (Every job has a priority, but for those of other programs.)
    if type(priority) ~= 'string' and not is_job(key) then
        return false
    end
    push(q, id, tonumber(priority) or 0, false)
    emit(q, 'waiting', 'jobId', id, 'prev', 'delayed')
    call('HSET', key, 'delay', '0')
    return true
end
