--@include create dedup emit queue_at release split_key
-- Adds a job of any kind to queue `q`.

-- The id exists: nothing is written to it, but it may be given to a parent.
local function add_duplicate(q, job, deferred, now)
    local key = q.base .. job.id
    local current = raw('HGET', key, 'parentKey')
    if job.parent_key then
        if current and current ~= job.parent_key and raw('EXISTS', current) == 1 then
            if deferred then
                call('HSET', job.parent_key, 'flowAttachmentFailed', '1')
            end
            return OTHER_PARENT
        end
        if raw('ZSCORE', q.base .. 'completed', job.id) then
            local value = raw('HGET', key, 'returnvalue') or 'null'
            call('HSET', job.parent_key .. ':processed', key, value)
            if not deferred then
                local parent_base, parent_id = split_key(job.parent_key)
                release_if_ready(queue_at(parent_base, q.flags), parent_id, tonumber(now))
            end
        else
            call('SADD', job.parent_key .. ':dependencies', key)
        end
        call('HSET', key, 'parentKey', job.parent_key, 'parent', job.parent)
    end
    emit(q, 'duplicated', 'jobId', job.id)
    return { job.id, ADDED_DUPLICATE }
end

local function extra_fields(job)
    local extra = {}
    for _, pair in ipairs({ { 'parentKey', job.parent_key }, { 'parent', job.parent },
        { 'deid', job.de and job.de.id } }) do
        if pair[2] then
            extra[#extra + 1] = pair[1]
            extra[#extra + 1] = pair[2]
        end
    end
    return extra
end

-- `job.counted`: it has an id, and the caller counts it in the queue's `id`.
-- Answers with the id, a refusal, or {id, n} as add_jobs does. `later`, unless nil, is a list
-- that gets the ids of jobs that wait in the order in which they came: the caller pushes them,
-- with push_all().
local function add_job(q, job, kind, now, later)
    if job.parent_key and raw('EXISTS', job.parent_key) == 0 then
        return NO_PARENT
    end
    local number = not job.counted and call('INCR', q.base .. 'id')
    if job.id == '' then
        job.id = string.format('%.0f', number)
    elseif raw('EXISTS', q.base .. job.id) == 1 then
        return add_duplicate(q, job, string.find(kind, ADD_FLOW, 1, true), now)
    end
    local owner = job.de and dedup(q, job.de, job)
    if owner then
        return { owner, ADDED_DEDUPLICATED }
    end
    store(q, job.id, job.name, job.data, job.opts, job.timestamp_text, job.delay_text,
        job.priority_text, extra_fields(job))
    local lifo = string.find(kind, ADD_LIFO, 1, true)
    if string.find(kind, ADD_WAITS, 1, true) then
        call('ZADD', q.waiting_children, job.timestamp_text, job.id)
        emit(q, 'waiting-children', 'jobId', job.id)
    elseif later and job.delay == 0 and job.priority == 0 and not lifo then
        later[#later + 1] = job.id
        emit(q, 'waiting', 'jobId', job.id)
    else
        place(q, job.id, job.timestamp, job.delay, job.priority, lifo)
    end
    if job.parent_key then
        call('SADD', job.parent_key .. ':dependencies', q.base .. job.id)
    end
    return job.id
end
