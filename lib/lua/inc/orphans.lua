--@include emit mark push delay stall raise_if_passing
-- Jobs that are in no state, though their hash is there: nobody would ever run them. No script
-- leaves one, but older versions, other clients and people do.
--
-- Only what is surely a job of this queue is taken for one: a hash with a name and a time, whose
-- id has no colon or is that of a scheduler's iteration. (What else stands below the base is the
-- queue's own, or belongs to a queue with a longer prefix.) BullMQ Pro keeps jobs of groups, which
-- have a `gid`, in places of its own. A job with a lock is somebody's.

local function reads_as_job(id, f)
    if not f[1] or not tonumber(f[2]) or f[6] then
        return false
    elseif not string.find(id, ':', 1, true) then
        return true
    end
    local rjk = f[5]
    return rjk and string.sub(id, 1, #rjk + 8) == 'repeat:' .. rjk .. ':' and
        string.find(id, '^%d+$', #rjk + 9) ~= nil
end

-- Which of `ids` are in none of the lists, if these are short: else nil, since to read a list, or to
-- look an id up in one, costs as much as it is long. `size` is that of all lists.
local function not_in_lists(lists, size, ids)
    if size > 10000 then
        return nil
    end
    local found, rest = {}, {}
    for _, list in ipairs(#ids > 0 and lists or {}) do
        for _, id in ipairs(call('LRANGE', list, 0, -1)) do
            found[id] = true
        end
    end
    for _, id in ipairs(ids) do
        if not found[id] then
            rest[#rest + 1] = id
        end
    end
    return rest
end

-- The same of `jobs` for long lists, in which only a few are looked up: those that were started
-- first, since a job that was not mostly waits there. Which ones, `now` decides, so that all have
-- their turn.
local function some_not_in_lists(lists, size, jobs, now)
    local left, rest = 200000, {}
    for _, started in ipairs({ true, false }) do
        for i = 1, #jobs do
            local job = jobs[(i + now) % #jobs + 1]
            if started == (job.started and true or false) and left >= (started and 1 or size) then
                left = left - size
                if not (call('LPOS', lists[1], job.id) or call('LPOS', lists[2], job.id) or
                    call('LPOS', lists[3], job.id)) then
                    rest[#rest + 1] = job
                end
            end
        end
    end
    return rest
end

-- Those of `ids` that are jobs without a state.
local function find_orphans(base, ids, now)
    for _, suffix in ipairs({ 'completed', 'delayed', 'failed', 'prioritized',
        'waiting-children' }) do
        local others = {}
        local scores = #ids > 0 and call('ZMSCORE', base .. suffix, unpack(ids))
        for i, id in ipairs(ids) do
            if not scores[i] then
                others[#others + 1] = id
            end
        end
        ids = others
    end
    local lists, size = { base .. 'active', base .. 'wait', base .. 'paused' }, 0
    for _, list in ipairs(lists) do
        size = size + call('LLEN', list)
    end
    local rest, jobs = not_in_lists(lists, size, ids), {}
    for _, id in ipairs(rest or ids) do
        local key = base .. id
        local f = try('HMGET', key, 'name', 'timestamp', 'processedOn', 'finishedOn', 'rjk', 'gid')
        if reads_as_job(id, f) and call('EXISTS', key .. ':lock') == 0 then
            jobs[#jobs + 1] = { id = id, key = key, created = tonumber(f[2]), started = f[3],
                ended = f[4] }
        end
    end
    return rest and jobs or some_not_in_lists(lists, size, jobs, now)
end

local function restore(q, job, max_stalled, now)
    if job.started then
        return stall(q, job.id, max_stalled) and FOUND_TOO_OFTEN or FOUND_RESTORED
    end
    local f = call('HMGET', job.key, 'priority', 'delay')
    local priority, due = tonumber(f[1]) or 0, job.created + (tonumber(f[2]) or 0)
    if call('SCARD', job.key .. ':dependencies') > 0 then
        call('ZADD', q.waiting_children, string.format('%.0f', now), job.id)
        emit(q, 'waiting-children', 'jobId', job.id)
    elseif due > now then
        delay_until(q, job.id, due)
    else
        push(q, job.id, priority, priority == 0)
        emit(q, 'waiting', 'jobId', job.id)
    end
    return FOUND_RESTORED
end

-- Oldest last: what is pushed last is taken first.
local function is_later(a, b)
    if a.created ~= b.created then
        return a.created > b.created
    end
    return #a.id > #b.id or #a.id == #b.id and a.id > b.id
end

-- Puts those of `ids` that have no state back, and appends to `answer` their ids, behind each what
-- was found, as FOUND_RESTORED, or the text of the error that kept it. Answers whether any was
-- moved.
local function restore_orphans(q, ids, max_stalled, now, answer)
    local jobs, moved = find_orphans(q.base, ids, now), false
    table.sort(jobs, is_later)
    for _, job in ipairs(jobs) do
        local ok, what = true, FOUND_ENDED
        if not job.ended then
            ok, what = guarded(restore, q, job, max_stalled, now)
        end
        if not ok then
            raise_if_passing(what)
        end
        moved = moved or ok and not job.ended
        answer[#answer + 1], answer[#answer + 2] = job.id, what
    end
    if moved then
        mark_work(q)
    end
    return moved
end
