-- A running job waits for its children: 0 when it does now, or NO_CHILD_PENDING.
--@keys active waiting-children events stalled wait prioritized marker meta
--@args base flags now job_id token
--@include emit queue_at
local key = base .. job_id
if raw('EXISTS', key) == 0 then
    return NO_JOB
end
if raw('ZCARD', key .. ':unsuccessful') ~= 0 then
    return FAILED_CHILDREN
end
if raw('SCARD', key .. ':dependencies') == 0 then
    return NO_CHILD_PENDING
end
local held = raw('GET', key .. ':lock')
if held ~= token then
    return held and OTHER_LOCK or NO_LOCK
end
if call('LREM', active, -1, job_id) == 0 then
    return WRONG_STATE
end
call('DEL', key .. ':lock')
call('SREM', stalled, job_id)
call('ZADD', waiting_children, now, job_id)
local q = queue_at(base, flags)
emit(q, 'waiting-children', 'jobId', job_id, 'prev', 'active')
-- The slot is free: news to other workers where the queue was full.
if not q.blocked and raw('EXISTS', wait, prioritized) > 0 then
    call('ZADD', marker, 0, '0')
end
return 0
