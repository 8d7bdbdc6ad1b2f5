--@include whole
-- Minutes in which nothing finished.
local function push_zeros(key, n)
    local zeros = {}
    for i = 1, math.min(n, 1000) do
        zeros[i] = 0
    end
    for left = n, 1, -1000 do
        call('LPUSH', key, unpack(zeros, 1, math.min(left, 1000)))
    end
end

-- Counts `n` finished jobs in the metrics at `key`, one point a minute, newest first.
local function count_finished(key, n, points, now)
    local set = raw('HMGET', key, 'count', 'prevTS', 'prevCount')
    local count, since, before = whole(set[1]) or 0, whole(set[2]), whole(set[3]) or 0
    call('HSET', key, 'count', string.format('%.0f', count + n))
    if not since then
        call('HSET', key, 'prevTS', now, 'prevCount', 0)
        return
    end
    local minutes = math.floor(now / 60000) - math.floor(since / 60000)
    minutes = math.min(minutes, tonumber(points))
    if minutes > 0 then
        call('LPUSH', key .. ':data', string.format('%.0f', count - before))
        push_zeros(key .. ':data', minutes - 1)
        call('LTRIM', key .. ':data', 0, points - 1)
        call('HSET', key, 'prevCount', string.format('%.0f', count), 'prevTS', now)
    end
end
