-- Log rows of a job from `start` to `stop`: how many it has, and those; -1 for no such job.
--@args base id start stop
local logs = base .. id .. ':logs'
local total = call('LLEN', logs)
if total == 0 and call('EXISTS', base .. id) == 0 then
    return -1
end
return { total, call('LRANGE', logs, start, stop) }
