--@include parent_ends job_keys dedup_free
--@include drop_keys
-- Deletes what is stored of jobs that go in bulk, without an event each; the caller takes the
-- ids out of their state. A parent that nothing else holds goes with its last child if it is
-- in the same queue, and then its own parent may; in another one it is released, and so it is
-- when too many went along already.
local function delete_jobs(base, flags, ids, now)
    local all, most = {}, #ids + 500
    for i = 1, #ids do
        all[i] = ids[i]
    end

    local function leave_parent(child, parent_key, parent)
        local parent_base, parent_id = parent_of(parent_key, parent)
        if parent_base ~= base or #all >= most then
            child_removed(flags, child, parent_key, now)
        elseif call('SREM', parent_key .. ':dependencies', child) == 1 and
            raw('SCARD', parent_key .. ':dependencies') == 0 and
            call('ZREM', base .. 'waiting-children', parent_id) == 1 then
            all[#all + 1] = parent_id
        end
    end

    local keys, i = {}, 1
    while i <= #all do
        local key = base .. all[i]
        local f = try('HMGET', key, 'parentKey', 'parent', 'deid')
        if f[1] then
            leave_parent(key, f[1], f[2])
        end
        if f[3] then
            dedup_free(base, all[i], f[3])
        end
        job_keys(key, keys)
        i = i + 1
    end
    drop_keys(keys)
end
