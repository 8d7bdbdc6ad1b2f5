-- Replaces the data of a job.
--@args base id data
if raw('EXISTS', base .. id) == 0 then
    return NO_JOB
end
call('HSET', base .. id, 'data', data)
return 0
