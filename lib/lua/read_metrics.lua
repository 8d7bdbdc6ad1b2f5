-- Finished jobs of `state`: in all, when the newest minute was closed, and one a minute.
--@args base state
local key = base .. 'metrics:' .. state
local set = raw('HMGET', key, 'count', 'prevTS')
return { set[1] or '', set[2] or '', raw('LRANGE', key .. ':data', 0, -1) }
