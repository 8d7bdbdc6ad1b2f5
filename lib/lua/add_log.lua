-- Adds a log row to a job and drops all but the newest `keep` (0: none). Answers with how many
-- there are.
--@args base id row keep
local key = base .. id
if raw('EXISTS', key) == 0 then
    return NO_JOB
end
local count = call('RPUSH', key .. ':logs', row)
if keep ~= '0' then
    call('LTRIM', key .. ':logs', -keep, -1)
    count = math.min(count, tonumber(keep))
end
return count
