-- A delayed job becomes due `delay` ms from now.
--@keys delayed
--@args base flags max_events now id delay
--@include queue_at delay trim_events
if raw('EXISTS', base .. id) == 0 then
    return NO_JOB
end
if call('ZREM', delayed, id) == 0 then
    return WRONG_STATE
end
call('HSET', base .. id, 'delay', delay)
delay_until(queue_at(base, flags), id, tonumber(now) + tonumber(delay))
trim_events(base, max_events)
return 0
