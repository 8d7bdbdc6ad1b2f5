-- Removes a job scheduler, and its next job if that is not due yet. Answers with 1, or 0 when
-- there is none.
--@keys repeat delayed
--@args base flags scheduler
--@include queue_at emit job_keys
local current = raw('ZSCORE', repeat_, scheduler)
if not current then
    return 0
end
local id = 'repeat:' .. scheduler .. ':' .. current
if call('ZREM', delayed, id) == 1 then
    local keys = {}
    job_keys(base .. id, keys)
    call('DEL', unpack(keys))
    emit(queue_at(base, flags), 'removed', 'jobId', id, 'prev', 'delayed')
end
call('ZREM', repeat_, scheduler)
call('DEL', repeat_ .. ':' .. scheduler)
return 1
