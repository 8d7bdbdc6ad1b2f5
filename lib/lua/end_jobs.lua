-- Ends the runs of many jobs, whatever their ends, and takes up to `want` new ones.
--
-- A run is five arguments: its kind, what to keep of finished jobs ('' all, '0' none, else see
-- inc/retain.lua), the token it was taken with (see inc/open_run.lua), the job's id and a value.
-- Kinds:
--   'c' completed: value is the return value (JSON)
--   'f' failed: value is the reason; then the stack traces (JSON), the attempts allowed and
--       telemetry metadata ('' for none)
--   'd' 'm' 'w' 'W' 'r': see inc/give_back.lua; then the stack traces, the delay in ms and
--       telemetry metadata. The value of 'r' is the job that the worker released before, or ''
--   'M' 'R' as 'm' and 'r', of a job that was not begun: the start is given back, too
--   'l' released by a handler that met a rate limit: value as of 'r'; then '', the pause in ms
--       and ''
--
-- Answers with two lists: index (from 1) and refusal of each run that was not accepted; and
-- what was taken (see inc/take.lua). All is stored at once or, when something fails, one by one:
-- see inc/guard_each.lua.
--@keys wait active prioritized pc delayed limiter marker meta events stalled completed failed metrics:completed metrics:failed
--@args base flags max_events now want token lock_ms name limit_max limit_ms popped look error_ms apart metrics_points
--@rest kind keep job_token job_id value
--@each
--@include take_or_drain server_now leave_active parent_ends dedup_end job_keys retain metrics give_back queue_at
--@include promote_due is_job trim_events not_before open_run
--@include must_be_allowed drop_keys
local clock
now, clock = server_now(now, error_ms)
local events_on = string.find(flags, FLAG_EVENTS, 1, true)
local set = raw('HMGET', meta, 'paused', 'concurrency', 'max', 'opts.maxLenEvents')
local refused, refusal = {}, {}

-- ---- what has ended: read it, and see whether its worker still owns it
local jobs, locks, children = {}, {}, {}
local i = first
runs = 0
local unbegun = { [END_PUT_OFF] = END_MOVED, [END_DECLINED] = END_RELEASED }
while i <= #ARGV do
    runs = runs + 1
    local kind, id = ARGV[i], ARGV[i + 3]
    local key = base .. id
    local job = { kind = unbegun[kind] or kind, unbegun = unbegun[kind], keep = ARGV[i + 1], token = ARGV[i + 2], id = id, key = key,
        value = ARGV[i + 4] }
    local token, late, started, till, attempt = open_run(job.token)
    if token then
        job.token, job.late, job.started, job.till, job.attempt = token, late, started, till, attempt
    end
    if kind ~= END_COMPLETED then
        job.stack, job.number, job.telemetry = ARGV[i + 5], ARGV[i + 6], ARGV[i + 7]
    end
    i = i + (kind == END_COMPLETED and 5 or 8)
    if not only or only == runs then
        jobs[#jobs + 1] = job
        locks[#locks + 1] = key .. ':lock'
        if kind == END_COMPLETED then
            children[#children + 1] = key .. ':dependencies'
            children[#children + 1] = key .. ':unsuccessful'
        end
    end
end

local held = #jobs > 0 and raw('MGET', unpack(locks))
local may_have_children = #children > 0 and raw('EXISTS', unpack(children)) > 0

-- Whether the run may not be the one that has the job, when neither has a lock: its end is sent
-- twice around a lost connection, was stored the first time, and the job runs again. The start
-- tells: that of a late run is written at its end, that of any other when it is taken; and where
-- it was given back, `ats` is there all the same. Only that of a job that had run before is written
-- a moment later than it is taken. Then the attempt tells, or a run that never began is given back
-- in its place, to no harm.
local function ran_again(job)
    if job.kind == END_COMPLETED or job.kind == END_FAILED then
        return false
    end
    local f = try('HMGET', job.key, 'ats', 'processedOn', 'atm')
    return f[1] and (job.late or f[2] ~= job.started or (tonumber(f[3]) or 0) >= job.attempt)
end

local function why_not(job, lock)
    if lock and lock ~= job.token then
        return OTHER_LOCK
    elseif not lock and (not (job.till and job.till >= tonumber(now)) or ran_again(job)) then
        return raw('EXISTS', job.key) == 1 and NO_LOCK or NO_JOB
    end
    if may_have_children and job.kind == END_COMPLETED then
        if raw('SCARD', job.key .. ':dependencies') ~= 0 then
            return PENDING_CHILDREN
        end
        if raw('ZCARD', job.key .. ':unsuccessful') ~= 0 then
            return FAILED_CHILDREN
        end
    end
end

local function refuse(j, code)
    refused[#refused + 1] = only or j
    refused[#refused + 1] = code
    refusal[j] = true
end

local ids = {}
for j = 1, #jobs do
    local code = why_not(jobs[j], held[j])
    if code then
        refuse(j, code)
    else
        ids[#ids + 1] = jobs[j].id
    end
end

-- ---- one step: out of active, lock and stalled mark gone, then the new state
local gone, all = {}, true
local drop, left, spared, fields = {}, {}, {}, {}
local to_completed, to_failed = {}, {}
local n_completed, n_failed = 0, 0
local keeps = {}
local note = { 'ends', finished = to_completed, lost = to_failed, fields = fields, ids = ids,
    gone = gone, told = false }
if #ids > 0 then
    undo[#undo + 1] = note
    if events_on then
        trim_to(base, set[4], max_events)
    end
    all = not leave_active(active, ids, gone)
end

local function tell(...)
    if events_on then
        local event = raw('XADD', events, '*', 'event', ...)
        note.told = note.told or event
    end
end

-- Stores the fields of a job that has ended and is kept; `f` is what some were.
local function set_end(job, is_failed, made, f)
    local key, list, n = job.key, is_failed and to_failed or to_completed, #fields
    fields[n + 1], fields[n + 2], fields[n + 3] = key, f[1], f[5]
    local at = not_before(f[6], now)
    list[#list + 1] = at
    list[#list + 1] = job.id
    if not is_failed then
        raw('HSET', key, 'returnvalue', job.value, 'finishedOn', at, 'atm', made)
        return
    end
    raw('HSET', key, 'failedReason', job.value, 'stacktrace', job.stack, 'finishedOn', at,
        'atm', made)
    if f[5] then
        raw('HDEL', key, 'defa')
    end
    if job.telemetry ~= '' then
        raw('HSET', key, 'tm', job.telemetry)
    end
end

-- Writes the start of a run that ends before it was written, of a job that is there. One that was
-- not begun does not count, but leaves a mark for ran_again().
local function set_start(job, lock)
    if not job.late or lock then
        return
    elseif job.unbegun then
        job.unbegun = nil
        call('HSET', job.key, 'ats', '0')
        return
    end
    local at = not_before(raw('HGET', job.key, 'timestamp'), job.started)
    call('HSET', job.key, 'processedOn', at, 'ats', '1')
    if name ~= '' then
        call('HSET', job.key, 'pb', name)
    end
    return at
end

local function finish(job, is_failed, lock)
    local key, id, value = job.key, job.id, job.value
    local f = try('HMGET', key, 'atm', 'parentKey', 'deid', 'timestamp', 'defa', 'processedOn')
    if not f[4] and not is_job(key) then
        return NO_JOB
    end
    if f[3] then
        dedup_end(base, flags, f[3], id, now)
    end
    if f[2] then
        local parent = raw('HGET', key, 'parent')
        if is_failed then
            child_failed(flags, key, f[2], parent, value, tonumber(now))
            if job.keep == '0' then
                child_removed(flags, key, f[2], tonumber(now))
            end
        else
            child_completed(flags, key, f[2], parent, value, tonumber(now))
        end
    end
    local made = string.format('%.0f', (tonumber(f[1]) or 0) + 1)
    if job.keep == '0' then
        job_keys(key, drop)
    else
        f[6] = set_start(job, lock) or f[6]
        set_end(job, is_failed, made, f)
    end
    if is_failed then
        n_failed = n_failed + 1
        tell('failed', 'jobId', id, 'failedReason', value, 'prev', 'active')
        if tonumber(made) >= tonumber(job.number) then
            tell('retries-exhausted', 'jobId', id, 'attemptsMade', made)
        end
    else
        n_completed = n_completed + 1
        tell('completed', 'jobId', id, 'returnvalue', value, 'prev', 'active')
    end
    if job.keep ~= '' and job.keep ~= '0' then
        keeps[(is_failed and 'f' or 'c') .. job.keep] = true
    end
end

-- Takes off the list what is to run before the jobs that are released now: up to the one that
-- the worker released before, if that still waits.
local function take_front(q, released)
    local before = ''
    for j = 1, #released do
        if released[j].kind == END_RELEASED or released[j].kind == END_LIMITED then
            before = released[j].value
            break
        end
    end
    local at = before ~= '' and try('LPOS', q.list, before, 'RANK', '-1', 'MAXLEN', '1000')
    if type(at) ~= 'number' then
        return {}
    end
    local front = raw('LRANGE', q.list, at, -1)
    if at == 0 then
        call('LTRIM', q.list, 1, 0)
    else
        call('LTRIM', q.list, 0, at - 1)
    end
    return front
end

for j = 1, #jobs do
    local job = jobs[j]
    if not refusal[j] then
        local code
        if not all and not gone[job.id] then
            code = held[j] and WRONG_STATE or raw('EXISTS', job.key) == 1 and NO_LOCK or NO_JOB
        else
            if held[j] then
                drop[#drop + 1] = locks[j]
            end
            left[#left + 1] = job.id
            if job.kind == END_COMPLETED then
                code = finish(job, false, held[j])
            elseif job.kind == END_FAILED then
                code = finish(job, true, held[j])
            elseif not is_job(job.key) then
                code = NO_JOB
            else
                if job.kind == END_LIMITED then
                    call('SET', limiter, NO_STARTS, 'PX', job.number)
                end
                set_start(job, held[j])
                spared[#spared + 1] = job
            end
        end
        if code then
            refuse(j, code)
        end
    end
end
if #to_completed > 0 then
    raw('ZADD', completed, unpack(to_completed))
end
if #to_failed > 0 then
    raw('ZADD', failed, unpack(to_failed))
end
if #spared > 0 then
    if not clock then -- what will be due is not told by a guess
        now, clock = server_now(now, '-1')
    end
    promote_due(base, flags, tonumber(now))
    local q = queue_at(base, flags)
    for _, job in ipairs(spared) do
        if job.kind ~= END_RELEASED and job.kind ~= END_LIMITED then
            give_back(q, job, now)
        end
    end
    local front
    for j = #spared, 1, -1 do -- each goes to the front: the first is to be taken first
        if spared[j].kind == END_RELEASED or spared[j].kind == END_LIMITED then
            front = front or take_front(q, spared)
            give_back(q, spared[j], now)
        end
    end
    if front and #front > 0 then
        call('RPUSH', q.list, unpack(front))
    end
end
local work = { left = 1000 }
for keep in pairs(keeps) do
    local target = string.sub(keep, 1, 1) == 'c' and completed or failed
    retain(base, flags, target, string.sub(keep, 2), tonumber(now), work)
end
if metrics_points ~= '0' then
    if n_completed > 0 then
        count_finished(metrics_completed, n_completed, metrics_points, tonumber(now))
    end
    if n_failed > 0 then
        count_finished(metrics_failed, n_failed, metrics_points, tonumber(now))
    end
end
if #left > 0 then
    raw('SREM', stalled, unpack(left))
end
if #drop > 0 then
    if parts or #drop > 5000 then
        drop_keys(drop)
        commit()
    else
        raw('DEL', unpack(drop))
    end
end
ended, done = ended + #left, done + n_completed + n_failed
if only and only > 0 then
    return { refused, {} }
end

-- ---- take, and say so when there is nothing left
local taken = take_behind_ends(KEYS, ARGV, now, clock, tonumber(want), set, ended,
    done > 0 and events_on)
return { refused, taken, taken.err and token }
