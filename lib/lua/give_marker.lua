-- Puts a marker back that a worker popped and cannot act on, if there is anything to act on: a
-- queue that was removed meanwhile must not come back.
--@keys marker wait prioritized delayed
--@args score member
if raw('EXISTS', wait, prioritized, delayed) == 0 then
    return 0
end
return call('ZADD', marker, score, member)
