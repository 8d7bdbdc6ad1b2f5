--@include parent_ends job_keys
--@include drop_keys
-- Keeps the finished jobs of `target` within "count:age:limit": the newest `count` (empty: any
-- number), none older than `age` seconds (empty: any age), at most `limit` removed by age at
-- one time. Never more than `work.left` in one call; the next finish goes on.
local function remove_finished(base, flags, target, ids, now, work)
    if #ids == 0 then
        return
    end
    work.left = work.left - #ids
    local keys = {}
    for _, id in ipairs(ids) do
        local key = base .. id
        local parent_key = try('HGET', key, 'parentKey')
        if type(parent_key) == 'string' then
            child_removed(flags, key, parent_key, now)
        end
        job_keys(key, keys)
    end
    call('ZREM', target, unpack(ids))
    drop_keys(keys)
end

local function retain(base, flags, target, keep, now, work)
    local count, age, limit = string.match(keep, '^(%d*):(%d*):(%d*)$')
    if age ~= '' then
        local most = math.min(tonumber(limit) or 1000, work.left)
        remove_finished(base, flags, target, raw('ZREVRANGEBYSCORE', target,
            now - age * 1000, 0, 'LIMIT', 0, most), now, work)
    end
    if count ~= '' and work.left > 0 then
        local most = math.min(tonumber(count), 9007199254739992)
        remove_finished(base, flags, target,
            raw('ZREVRANGE', target, most, most + work.left - 1), now, work)
    end
end
