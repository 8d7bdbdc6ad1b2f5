-- Lets a delayed job run now.
--@keys delayed
--@args base flags id
--@include queue_at promote
if call('ZREM', delayed, id) == 0 then
    return raw('EXISTS', base .. id) == 1 and WRONG_STATE or NO_JOB
end
return promote(queue_at(base, flags), id) and 0 or NO_JOB
