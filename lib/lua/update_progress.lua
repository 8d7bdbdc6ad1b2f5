-- Sets the progress of a job, and tells.
--@args base flags max_events id progress
--@include queue_at emit trim_events
if raw('EXISTS', base .. id) == 0 then
    return NO_JOB
end
call('HSET', base .. id, 'progress', progress)
emit(queue_at(base, flags), 'progress', 'jobId', id, 'data', progress)
trim_events(base, max_events)
return 0
