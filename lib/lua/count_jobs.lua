-- How many jobs each state has, in the order of enum ox_state.
--@keys completed failed delayed prioritized active wait paused waiting-children
local waiting = call('LLEN', wait)
-- An id that begins with "0:" is a marker of BullMQ before 5.0.
local tail = call('LINDEX', wait, -1)
if tail and string.sub(tail, 1, 2) == '0:' then
    waiting = waiting - 1
end
return { call('ZCARD', completed), call('ZCARD', failed), call('ZCARD', delayed),
    call('ZCARD', prioritized), call('LLEN', active), waiting, call('LLEN', paused),
    call('ZCARD', waiting_children) }
