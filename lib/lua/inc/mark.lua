-- The base marker: says that work is there, unless nothing may start.
local function mark_work(q)
    if not q.blocked then
        raw('ZADD', q.marker, '0', '0')
    end
end

-- The delay marker: says when the earliest delayed job is due.
local function mark_delay(q)
    local head = raw('ZRANGE', q.delayed, '0', '0', 'WITHSCORES')
    if head[2] then
        raw('ZADD', q.marker, head[2] / 4096, '1')
    end
end
