--@include emit mark
-- Puts a job into `delayed`, due at `due` ms, behind those due in the same millisecond.
local function delay_until(q, id, due)
    local low = due * 4096
    local high = low + 4095
    local last = raw('ZREVRANGEBYSCORE', q.delayed, high, low, 'WITHSCORES', 'LIMIT', 0, 1)
    local score = low
    if last[2] then
        score = math.min(tonumber(last[2]) + 1, high)
    end
    call('ZADD', q.delayed, score, id)
    emit(q, 'delayed', 'jobId', id, 'delay', string.format('%.17g', due))
    mark_delay(q)
end
