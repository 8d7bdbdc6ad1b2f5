--@include parent_ends job_keys dedup_free
-- Deletes what is stored of jobs that go in bulk, without an event each; the caller takes the
-- ids out of their state. A parent that nothing else holds goes with its last child if it is
-- in the same queue; in another one it is released.
local add_keys

local function leave_parent(base, flags, child, parent_key, parent, now, keys)
    local parent_base, parent_id = parent_of(parent_key, parent)
    if parent_base ~= base then
        child_removed(flags, child, parent_key, now)
    elseif call('SREM', parent_key .. ':dependencies', child) == 1 and
        call('SCARD', parent_key .. ':dependencies') == 0 and
        call('ZREM', base .. 'waiting-children', parent_id) == 1 then
        add_keys(base, flags, parent_id, now, keys)
    end
end

add_keys = function(base, flags, id, now, keys)
    local key = base .. id
    local f = try('HMGET', key, 'parentKey', 'parent', 'deid')
    if f[1] then
        leave_parent(base, flags, key, f[1], f[2], now, keys)
    end
    if f[3] then
        dedup_free(base, id, f[3])
    end
    job_keys(key, keys)
end

local function delete_jobs(base, flags, ids, now)
    local keys = {}
    for _, id in ipairs(ids) do
        add_keys(base, flags, id, now, keys)
    end
    for from = 1, #keys, 5000 do
        call('DEL', unpack(keys, from, math.min(from + 4999, #keys)))
    end
end
