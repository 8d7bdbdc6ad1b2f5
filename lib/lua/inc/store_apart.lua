-- Makes the hash of a new job of the one under the suffix `apart`, which has its data alone.
-- Answers as HSET does: 6 for a hash that is new, or with an error.
local function store_apart(base, apart, id, name, opts, timestamp)
    local from, key = base .. apart, base .. id
    if try('RENAMENX', from, key) == 1 then
        local made = try('HSET', key, 'name', name, 'opts', opts, 'timestamp', timestamp,
            'delay', '0', 'priority', '0')
        if type(made) == 'number' then
            return 6
        end
        try('DEL', key) -- it is no hash
        return made
    end
    -- A hash is there already, whose fields are replaced as those of any other.
    local data = try('HGET', from, 'data')
    if type(data) ~= 'string' then
        return data or { err = 'ERR the data of the job is missing' }
    end
    return try('HSET', key, 'name', name, 'data', data, 'opts', opts, 'timestamp', timestamp,
        'delay', '0', 'priority', '0')
end
