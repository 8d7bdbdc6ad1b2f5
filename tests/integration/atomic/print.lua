-- All keys with what is in them, as lines in order. Left out: marks that only wake someone, marks
-- of the check for stalled jobs, the order of running jobs, who had a job last, and why it failed
-- at an attempt that was not its last.
local passing = { pb = true, failedReason = true, stacktrace = true, tm = true }
local lines = {}
for _, key in ipairs(redis.call('KEYS', 't:*')) do
    if not string.find(key, ':marker$') and not string.find(key, ':stalled$') and
        not string.find(key, ':wake$') then
        local kind, parts = redis.call('TYPE', key)['ok'], {}
        if kind == 'string' then
            parts = { redis.call('GET', key) }
        elseif kind == 'list' then
            parts = redis.call('LRANGE', key, 0, -1)
            if string.find(key, ':active$') then
                table.sort(parts)
            end
        elseif kind == 'set' then
            parts = redis.call('SMEMBERS', key)
            table.sort(parts)
        elseif kind == 'zset' then
            parts = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
        elseif kind == 'hash' then
            local all = redis.call('HGETALL', key)
            local ended = redis.call('HEXISTS', key, 'finishedOn') == 1
            for i = 1, #all, 2 do
                if ended or not passing[all[i]] then
                    parts[#parts + 1] = all[i] .. '=' .. all[i + 1]
                end
            end
            table.sort(parts)
        else
            for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
                parts[#parts + 1] = '<' .. table.concat(entry[2], ' ') .. '>'
            end
            for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
                parts[#parts + 1] = group[2] .. ' at ' .. group[8]
                for _, entry in ipairs(redis.call('XPENDING', key, group[2], '-', '+', 100)) do
                    parts[#parts + 1] = entry[1] .. ' of ' .. entry[2] .. ' ' .. entry[4]
                end
            end
        end
        local ttl = redis.call('PTTL', key) > 0 and ' (expires)' or ''
        lines[#lines + 1] = key .. ' ' .. kind .. ttl .. ': ' .. table.concat(parts, ' ')
    end
end
table.sort(lines)
return table.concat(lines, '\n')
