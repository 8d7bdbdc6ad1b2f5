-- Drops the log rows of a job but the newest `keep`. Rows whose job is gone go as well.
--@args base id keep
local logs = base .. id .. ':logs'
if raw('EXISTS', base .. id, logs) == 0 then
    return NO_JOB
end
if keep == '0' then
    call('DEL', logs)
else
    call('LTRIM', logs, -keep, -1)
end
return 0
