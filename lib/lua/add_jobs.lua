-- Adds jobs of every kind, in order; answers for each with its id, a refusal, or {id, n} when no
-- job was made: 1 a job has that id, 2 the job `id` holds the deduplication id. A batch of
-- plain jobs has a script of its own, add_plain.
--
-- One that fails is not added, and its answer is the text of the error.
--
-- A job is eight arguments and what its kind asks for: 'l' lifo, 'w' waits for children,
-- 'd' deduplication (id, ttl, modes), 'p' parent (key, JSON), 'f' part of a
-- flow: parents are released when the whole flow is in.
--@keys id meta completed waiting-children
--@args base flags max_events now
--@rest kind job_id name data opts timestamp delay priority
--@include queue_at emit trim_events create dedup release split_key
--@include raise_if_passing
local q = queue_at(base, flags)

-- The id exists: nothing is written to it, but it may be given to a parent.
local function duplicate(job, deferred)
    local key = base .. job.id
    local current = raw('HGET', key, 'parentKey')
    if job.parent_key then
        if current and current ~= job.parent_key and raw('EXISTS', current) == 1 then
            if deferred then
                call('HSET', job.parent_key, 'flowAttachmentFailed', '1')
            end
            return OTHER_PARENT
        end
        if raw('ZSCORE', completed, job.id) then
            local value = raw('HGET', key, 'returnvalue') or 'null'
            call('HSET', job.parent_key .. ':processed', key, value)
            if not deferred then
                local parent_base, parent_id = split_key(job.parent_key)
                release_if_ready(queue_at(parent_base, flags), parent_id, tonumber(now))
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

local function add(job, kind)
    if job.parent_key and raw('EXISTS', job.parent_key) == 0 then
        return NO_PARENT
    end
    local number = call('INCR', id)
    if job.id == '' then
        job.id = string.format('%.0f', number)
    elseif raw('EXISTS', base .. job.id) == 1 then
        return duplicate(job, string.find(kind, ADD_FLOW, 1, true))
    end
    local owner = job.de and dedup(q, job.de, job)
    if owner then
        return { owner, ADDED_DEDUPLICATED }
    end
    store(q, job.id, job.name, job.data, job.opts, job.timestamp_text, job.delay_text,
        job.priority_text, extra_fields(job))
    if string.find(kind, ADD_WAITS, 1, true) then
        call('ZADD', waiting_children, job.timestamp_text, job.id)
        emit(q, 'waiting-children', 'jobId', job.id)
    else
        place(q, job.id, job.timestamp, job.delay, job.priority,
            string.find(kind, ADD_LIFO, 1, true))
    end
    if job.parent_key then
        call('SADD', job.parent_key .. ':dependencies', base .. job.id)
    end
    return job.id
end

local results = {}
local written = false
local i = first
while i <= #ARGV do
    local kind = ARGV[i]
    local job = {
        id = ARGV[i + 1],
        name = ARGV[i + 2],
        data = ARGV[i + 3],
        opts = ARGV[i + 4],
        timestamp_text = ARGV[i + 5],
        delay_text = ARGV[i + 6],
        priority_text = ARGV[i + 7],
        timestamp = tonumber(ARGV[i + 5]),
        delay = tonumber(ARGV[i + 6]),
        priority = tonumber(ARGV[i + 7]),
    }
    i = i + 8
    if string.find(kind, ADD_DEDUP, 1, true) then
        job.de = { id = ARGV[i], ttl = tonumber(ARGV[i + 1]), modes = ARGV[i + 2] }
        i = i + 3
    end
    if string.find(kind, ADD_PARENT, 1, true) then
        job.parent_key, job.parent = ARGV[i], ARGV[i + 1]
        i = i + 2
    end
    local ok, result = guarded(add, job, kind)
    if ok then
        written = written or result ~= NO_PARENT
    else
        raise_if_passing(result)
        result = { err = result }
    end
    results[#results + 1] = result
end
if written then -- a refused child leaves no trace of the queue it was meant for
    trim_events(base, max_events)
end
return results
