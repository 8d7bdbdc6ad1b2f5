--@include queue_at emit push delay
--@include note
-- Ends of a run after which the job runs again. `job`: kind, id, key, value (the reason, or
-- empty), stack (JSON, or empty), number, telemetry (metadata, or empty), unbegun (true: it was
-- taken, but not begun: the start does not count).
--
--   'd' due again in `number` ms, an attempt was made      (retry with backoff)
--   'm' due again in `number` ms, no attempt counted        (moved by the handler)
--   'w' waits again behind the others, an attempt was made  (retry at once; 'W': before them)
--   'r' 'l' waits again before the others, no attempt counted  (released)
local function give_back(q, job, now)
    local kind, key, id = job.kind, job.key, job.id
    local counted = kind == END_RETRY_LATER or kind == END_RETRY or kind == END_RETRY_FIRST
    if counted then
        local old = raw('HGET', key, 'atm')
        note(old and 'HSET' or 'HDEL', key, 'atm', old or nil)
        raw('HSET', key, 'failedReason', job.value, 'stacktrace', job.stack, 'atm',
            string.format('%.0f', (tonumber(old) or 0) + 1))
        if job.telemetry ~= '' then
            raw('HSET', key, 'tm', job.telemetry)
        end
    end
    if job.unbegun then
        if call('HINCRBY', key, 'ats', '-1') < 0 then
            call('HSET', key, 'ats', '0') -- not none: that it was taken is a mark, see end_jobs
        end
        call('HDEL', key, 'processedOn')
    end
    if kind == END_RETRY_LATER or kind == END_MOVED then
        local delay = tonumber(job.number)
        local old = raw('HGET', key, 'delay')
        note(old and 'HSET' or 'HDEL', key, 'delay', old or nil)
        raw('HSET', key, 'delay', job.number)
        delay_until(q, id, tonumber(now) + delay)
        return
    end
    local priority = tonumber(raw('HGET', key, 'priority')) or 0
    local front = kind == END_RELEASED or kind == END_LIMITED or (kind == END_RETRY_FIRST and priority == 0)
    push(q, id, priority, front)
    emit(q, 'waiting', 'jobId', id, 'prev', 'active')
end
