-- How many jobs each state has, in the order of enum ox_state.
--@keys completed failed delayed prioritized active wait paused waiting-children
local waiting = raw('LLEN', wait)
-- An id that begins with "0:" is a marker of BullMQ before 5.0.
local tail = raw('LINDEX', wait, -1)
if tail and string.sub(tail, 1, 2) == '0:' then
    waiting = waiting - 1
end
return { raw('ZCARD', completed), raw('ZCARD', failed), raw('ZCARD', delayed),
    raw('ZCARD', prioritized), raw('LLEN', active), waiting, raw('LLEN', paused),
    raw('ZCARD', waiting_children) }
