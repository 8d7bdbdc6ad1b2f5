-- How a job ended: -1 for no such job, {0} when it has not, {1, return value}, {2, reason}.
--@keys completed failed
--@args base id
if raw('EXISTS', base .. id) == 0 then
    return NO_JOB
end
if raw('ZSCORE', completed, id) then
    return { ENDED_WELL, raw('HGET', base .. id, 'returnvalue') or 'null' }
end
if raw('ZSCORE', failed, id) then
    return { ENDED_BADLY, raw('HGET', base .. id, 'failedReason') or '' }
end
return { NOT_ENDED }
