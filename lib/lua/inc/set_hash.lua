--@include is_job
-- Sets fields of a job's hash. False when the key has become something else.
local function set_hash(key, ...)
    local set = try('HSET', key, ...)
    if type(set) == 'number' then
        return true
    end
    if is_job(key) then
        error(set.err, 0)
    end
    return false
end
