-- How a job ended: -1 for no such job, {0} when it has not, {1, return value}, {2, reason}.
--@keys completed failed
--@args base id
if raw('EXISTS', base .. id) == 0 then
    return -1
end
if raw('ZSCORE', completed, id) then
    return { 1, raw('HGET', base .. id, 'returnvalue') or 'null' }
end
if raw('ZSCORE', failed, id) then
    return { 2, raw('HGET', base .. id, 'failedReason') or '' }
end
return { 0 }
