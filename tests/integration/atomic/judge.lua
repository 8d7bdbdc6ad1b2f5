-- What is wrong with the jobs: lines, '' for nothing. ARGV[1]: 'states' for a list of the states
-- that jobs are in instead; then keys of jobs that are not looked at.
local skip, lines, states = {}, {}, ARGV[1] == 'states'
for i = 2, #ARGV do
    skip[ARGV[i]] = true
end
for _, base in ipairs({ 't:q:', 't:r:' }) do
    local places = {}
    for _, state in ipairs({ 'wait', 'paused', 'active', 'delayed', 'prioritized', 'completed',
        'failed', 'waiting-children' }) do
        local kind = redis.call('TYPE', base .. state)['ok']
        local ids = kind == 'list' and redis.call('LRANGE', base .. state, 0, -1) or
            kind == 'zset' and redis.call('ZRANGE', base .. state, 0, -1) or {}
        for _, id in ipairs(ids) do
            places[id] = (places[id] and places[id] .. '+' or '') .. state
        end
    end
    for _, key in ipairs(redis.call('KEYS', base .. '*')) do
        local id = string.sub(key, #base + 1)
        local kind = redis.call('TYPE', key)['ok']
        if kind == 'hash' and redis.call('HEXISTS', key, 'timestamp') == 1 then
            places[id] = places[id] or 'no state'
        end
        local owner = string.match(id, '^(.*):lock$')
        if owner and places[owner] ~= 'active' and not states and not skip[base .. owner] then
            lines[#lines + 1] = base .. owner .. ' has a lock and is in ' ..
                (places[owner] or 'no state')
        end
    end
    for id, place in pairs(places) do
        if skip[base .. id] then
            place = nil
        elseif states then
            lines[#lines + 1] = base .. id .. ' ' .. place
        elseif place == 'no state' or string.find(place, '+', 1, true) then
            lines[#lines + 1] = base .. id .. ' is in ' .. place
        elseif redis.call('EXISTS', base .. id) == 0 then
            lines[#lines + 1] = base .. id .. ' is in ' .. place .. ' and has no hash'
        end
    end
    -- An event of an end says what is so.
    local events = redis.call('TYPE', base .. 'events')['ok'] == 'stream' and not states and
        redis.call('XRANGE', base .. 'events', '-', '+') or {}
    for _, entry in ipairs(events) do
        local f = entry[2]
        local name, id = f[2], f[4]
        if (name == 'completed' or name == 'failed') and f[3] == 'jobId' and
            places[id] and not skip[base .. id] and places[id] ~= name then
            lines[#lines + 1] = base .. id .. ' was told as ' .. name .. ' and is in ' .. places[id]
        elseif name == 'active' and places[id] and places[id] ~= 'active' and
            not skip[base .. id] then
            lines[#lines + 1] = base .. id .. ' was told as active and is in ' .. places[id]
        end
    end
end
table.sort(lines)
return table.concat(lines, '\n')
