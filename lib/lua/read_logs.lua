-- Log rows of a job from `start` to `stop`: how many it has, and those; -1 for no such job.
--@args base id start stop
local logs = base .. id .. ':logs'
local total = raw('LLEN', logs)
if total == 0 and raw('EXISTS', base .. id) == 0 then
    return NO_JOB
end
return { total, raw('LRANGE', logs, start, stop) }
