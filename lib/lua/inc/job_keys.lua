-- Appends the keys that belong to a job to `keys`.
local function job_keys(key, keys)
    local n = #keys
    keys[n + 1], keys[n + 2], keys[n + 3] = key, key .. ':logs', key .. ':dependencies'
    keys[n + 4], keys[n + 5], keys[n + 6] = key .. ':processed', key .. ':failed',
        key .. ':unsuccessful'
end
