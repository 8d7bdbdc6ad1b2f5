-- How a job ended: -1 for no such job, {0} when it has not, {1, return value}, {2, reason}.
--@keys completed failed
--@args base id
if call('EXISTS', base .. id) == 0 then
    return -1
end
if call('ZSCORE', completed, id) then
    return { 1, call('HGET', base .. id, 'returnvalue') or 'null' }
end
if call('ZSCORE', failed, id) then
    return { 2, call('HGET', base .. id, 'failedReason') or '' }
end
return { 0 }
