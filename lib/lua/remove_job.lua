-- Removes a job and, if asked, its children, theirs and so on. All or nothing: -6 when a worker
-- has one of them, -8 for a scheduler's current job. Answers with how many were removed.
--@args base flags max_events now id with_children
--@include queue_at emit trim_events take_out scheduler_current dedup_free parent_ends
--@include job_keys split_key
if scheduler_current(base, id) then
    return -8
end

-- The jobs to remove, children before their parents, as key, base, id.
local jobs, known, locked = {}, {}, false

local function children_of(key)
    local keys = call('SMEMBERS', key .. ':dependencies')
    for _, suffix in ipairs({ ':processed', ':failed' }) do
        for _, child in ipairs(call('HKEYS', key .. suffix)) do
            keys[#keys + 1] = child
        end
    end
    for _, child in ipairs(call('ZRANGE', key .. ':unsuccessful', 0, -1)) do
        keys[#keys + 1] = child
    end
    return keys
end

local function collect(key, job_base, job_id)
    if known[key] then
        return
    end
    known[key] = true
    locked = locked or call('EXISTS', key .. ':lock') == 1
    if with_children == '1' then
        for _, child in ipairs(children_of(key)) do
            -- One that has another parent by now is not ours to remove.
            if call('HGET', child, 'parentKey') == key then
                collect(child, split_key(child))
            end
        end
    end
    jobs[#jobs + 1] = { key, job_base, job_id }
end

local function remove(key, job_base, job_id)
    local q = queue_at(job_base, flags)
    local f = call('HMGET', key, 'parentKey', 'deid')
    if f[1] and not known[f[1]] then
        child_removed(flags, key, f[1], tonumber(now))
    end
    if f[2] then
        dedup_free(job_base, job_id, f[2])
    end
    local state = take_out(q, job_id)
    local keys = {}
    job_keys(key, keys)
    local deleted = call('DEL', unpack(keys))
    if deleted > 0 then
        emit(q, 'removed', 'jobId', job_id, 'prev', state or 'unknown')
    end
    return (state or deleted > 0) and 1 or 0
end

collect(base .. id, base, id)
if locked then
    return -6
end
local count = 0
for _, job in ipairs(jobs) do
    count = count + remove(job[1], job[2], job[3])
end
if count > 0 then
    trim_events(base, max_events)
end
return count
