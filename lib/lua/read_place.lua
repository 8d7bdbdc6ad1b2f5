-- How many jobs start before one that waits, plus 1 (0: it does not wait), and what is left of
-- its lock in ms, plus 1 (0: there is none). Lists run from their tail, before all priorities.
--@keys wait paused prioritized
--@args base id
local function before(list)
    local index = raw('LPOS', list, id, 'RANK', -1)
    return index and raw('LLEN', list) - index
end
local place = before(wait)
local rank = not place and raw('ZRANK', prioritized, id)
if rank then
    place = rank + raw('LLEN', wait) + 1
end
local left = raw('PTTL', base .. id .. ':lock')
return { place or before(paused) or 0, left < 0 and 0 or left + 1 }
