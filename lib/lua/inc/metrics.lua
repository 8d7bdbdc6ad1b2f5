-- Counts `n` finished jobs in the metrics at `key`, one point a minute, newest first.
local function count_finished(key, n, points, now)
    local count = call('HINCRBY', key, 'count', n) - n
    local before = call('HMGET', key, 'prevTS', 'prevCount')
    if not before[1] then
        call('HSET', key, 'prevTS', now, 'prevCount', 0)
        return
    end
    local minutes = math.floor(now / 60000) - math.floor(before[1] / 60000)
    minutes = math.min(minutes, tonumber(points))
    if minutes > 0 then
        call('LPUSH', key .. ':data', string.format('%.0f', count - (before[2] or 0)))
        for _ = 2, minutes do
            call('LPUSH', key .. ':data', 0)
        end
        call('LTRIM', key .. ':data', 0, points - 1)
        call('HSET', key, 'prevCount', string.format('%.0f', count), 'prevTS', now)
    end
end
