-- A job's hash, empty when there is none or something else has its key.
local function read_hash(key)
    local hash = try('HGETALL', key)
    return hash.err and {} or hash
end
