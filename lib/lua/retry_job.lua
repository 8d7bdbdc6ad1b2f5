-- Lets a finished job run again. `state` is 'completed' or 'failed'; `forget` may have 'm'
-- (attempts made) and 's' (attempts started).
--@args base flags max_events id state forget
--@include queue_at run_again trim_events
if raw('EXISTS', base .. id) == 0 then
    return NO_JOB
end
if call('ZREM', base .. state, id) == 0 then
    return WRONG_STATE
end
local fields = {}
if string.find(forget, FORGET_MADE, 1, true) then
    fields[1] = 'atm'
end
if string.find(forget, FORGET_STARTED, 1, true) then
    fields[#fields + 1] = 'ats'
end
run_again(queue_at(base, flags), id, state, fields)
trim_events(base, max_events)
return 0
