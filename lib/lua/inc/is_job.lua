-- True when `key` is a job's: a hash, whatever its fields. A job may have been removed while
-- its id was still somewhere, and any program can put another thing there.
local function is_job(key)
    return raw('TYPE', key)['ok'] == 'hash'
end
