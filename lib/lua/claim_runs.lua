-- Locks running jobs that were taken without a lock (see inc/open_run.lua), or whose locks ran out
-- while their worker could not reach the server, and
-- tells of ends that were sent twice around a lost connection whether they are stored.
--
-- A job is its id, the token, `ats` and `processedOn` of the run, what its end was, '' if that was
-- not sent twice (see end_jobs; 'p': it waits for children), and how many attempts are made with
-- it. Answers for each: CLAIM_LOCKED, CLAIM_STORED, or a refusal: NO_LOCK also for one whose keys
-- the user may not write, when others can be locked.
--@keys active stalled completed failed events
--@args base lock_ms name
--@rest job_id token ats processed_on kind made
--@include is_job open_run raise_if_passing
local n, ids, keys, locks, tokens, opens = 0, {}, {}, {}, {}, {}
for i = first, #ARGV, 6 do
    n = n + 1
    ids[n], keys[n] = ARGV[i], base .. ARGV[i]
    locks[n] = keys[n] .. ':lock'
    local token, late, _, _, _, again = open_run(ARGV[i + 1])
    tokens[n], opens[n] = token or ARGV[i + 1], late and { again = again }
end
local held = raw('MGET', unpack(locks))

-- Which of the jobs `wanted` are active: the list is walked once for many of them.
local function find_active(wanted, count)
    local found = {}
    if count <= 2 then
        for id in pairs(wanted) do
            found[id] = raw('LPOS', active, id, 'RANK', '-1') and true
        end
        return found
    end
    local to = -1
    while count > 0 do
        local part = raw('LRANGE', active, to - 999, to)
        for _, id in ipairs(part) do
            if wanted[id] and not found[id] then
                found[id] = true
                count = count - 1
            end
        end
        if #part < 1000 then
            break
        end
        to = to - 1000
    end
    return found
end

-- Of a job that was removed at its end only an event is left, among the newest thousand.
local ends
local function was_told(id, name)
    if not ends then
        ends = {}
        for _, entry in ipairs(try('XREVRANGE', events, '+', '-', 'COUNT', '1000')) do
            local f = entry[2]
            if f[1] == 'event' and f[3] == 'jobId' then
                ends[f[2] .. ':' .. f[4]] = true
            end
        end
    end
    return ends[name .. ':' .. id]
end

local answer, wanted, count = {}, {}, 0
local again, refused = {}, {} -- whether it was to run again; why it may not be locked

-- Whether an end that was sent twice was stored the first time, of a job that then ran no more.
local function is_stored(i, kind, made, same, f)
    if kind == END_COMPLETED or kind == END_FAILED then
        return same and f[3] and raw('ZSCORE', kind == END_COMPLETED and completed or failed, ids[i])
    elseif kind == END_RETRY_LATER or kind == END_RETRY or kind == END_RETRY_FIRST then
        return (tonumber(f[4]) or 0) >= tonumber(made)
    end
end

-- What ox_queue_cancel() writes.
local function is_cancelled(reason)
    return reason == 'cancelled' or string.find(reason, 'cancelled: ', 1, true) == 1
end

local function write_start(i, at)
    call('HSET', keys[i], 'processedOn', ARGV[at + 3], 'ats', ARGV[at + 2],
        unpack(name ~= '' and { 'pb', name } or {}))
end

-- How often a job was started before, as its worker reads what is stored, which may be any text:
-- see ox_job_number().
local function starts_of(text)
    local number = text and not string.find(text, '%s$') and tonumber(text)
    if not number or not (math.abs(number) < 9.2e18) then -- NaN as well
        return 0
    end
    number = number < 0 and math.ceil(number) or math.floor(number)
    return math.max(-9007199254740991, math.min(number, 9007199254740991))
end

local function judge(i, at)
    local kind = ARGV[at + 4]
    if held[i] == tokens[i] then
        return CLAIM_LOCKED
    elseif not is_job(keys[i]) then
        local name = kind == END_COMPLETED and 'completed' or 'failed'
        return (kind == END_COMPLETED or kind == END_FAILED) and was_told(ids[i], name) and CLAIM_STORED or
            NO_JOB
    end
    local f = raw('HMGET', keys[i], 'ats', 'processedOn', 'finishedOn', 'atm', 'failedReason',
        'stc')
    local same = f[1] == ARGV[at + 2] and f[2] == ARGV[at + 3]
    -- Whoever had it after a run that wrote nothing had it because it stalled, or wrote its start.
    -- A job that had run before begins with this; so no other run of it can have begun.
    local open = opens[i]
    if not same and open then
        if open.again then
            same = starts_of(f[1]) + 1 == tonumber(ARGV[at + 2])
        else
            same = not f[1] and not f[4] and not f[6]
        end
        open.unwritten = same
    end
    if is_stored(i, kind, ARGV[at + 5], same, f) then
        return CLAIM_STORED
    end
    if f[3] and is_cancelled(f[5] or '') then
        if same then
            return CANCELLED
        elseif opens[i] and not f[1] and not f[2] and not f[6] then -- before it was written
            write_start(i, at)
            return CANCELLED
        end
    end
    again[i] = string.find(kind, '^[^cfdwW]') -- that is stored where it is not active
    refused[i] = held[i] and OTHER_LOCK or not same and NO_LOCK
    if refused[i] and not again[i] then
        return refused[i]
    end
    wanted[ids[i]] = true
    count = count + 1
    return 0
end

for i = 1, n do
    answer[i] = judge(i, first + (i - 1) * 6)
end
local found = count > 0 and find_active(wanted, count)

local function lock(i)
    if opens[i] and opens[i].unwritten then
        write_start(i, first + (i - 1) * 6)
    end
    call('SET', locks[i], tokens[i], 'PX', lock_ms)
    call('SREM', stalled, ids[i])
end

local locked, failure = false, nil
for i = 1, n do
    if answer[i] == 0 then
        answer[i] = found[ids[i]] and refused[i] or again[i] and CLAIM_STORED or WRONG_STATE
        if found[ids[i]] and not refused[i] then
            local ok, why = guarded(lock, i)
            if not ok then
                raise_if_passing(why)
                failure = why
            end
            answer[i] = ok and CLAIM_LOCKED or NO_LOCK
        end
    end
    locked = locked or answer[i] == CLAIM_LOCKED
end
if failure and not locked then -- it may have to do with no run in particular
    error(failure, 0)
end
return answer
