--@include is_job whole not_before must_be_allowed server_now
--@rare promote_due
--@rare take_each
--@rare limiter
-- Takes up to `want` jobs for one worker. `k` is KEYS and `w` is ARGV, which begin alike in all
-- scripts that take (a table with names for them would cost more than what is done with it):
--   k  wait active prioritized pc delayed limiter marker meta events
--   w  base flags max_events now want token lock_ms name limit_max limit_ms popped look error_ms
--      apart
-- `lock_ms` is '0' when jobs get no lock yet, '-1' when their `processedOn` and `ats` are not written
-- either (see inc/open_run.lua): of all that the worker reads, else of those that were never
-- started, tried or found stalled.
-- `popped` is '1' when the worker popped the delay marker, '?' when it cannot know yet; `look` is
-- '0' when it looked for jobs that are due in this very millisecond. `apart` is '1' when the worker
-- reads the jobs itself, by plain commands: it is busy, or has met large ones lately. So it does,
-- asked or not, when the first of several is large: Lua copies all that goes through it.
--
-- Answers flat: how many; ms until the rate limiter opens; when the next delayed job is due (text;
-- '?' when there were as many jobs as wanted and more wait, '0' when there is none or it is not
-- known); `now` in microseconds (text, '0' when it is what the worker said, see
-- inc/server_now.lua); the token, by which the worker knows its call; then for each job its id and,
-- when the worker is to read it, how often it was started with this (0: that is not written yet;
-- negative when it was not asked for), else eight fields; a job that was started or tried before has
-- four more. (A retry may forget the starts and keep the tries.) Behind the jobs: the id and the error of each that could not be
-- started, see inc/take_each.lua.

-- The score of the delayed job that is due first, nil if there is none.
local function first_due(delayed)
    return tonumber(raw('ZRANGE', delayed, '0', '0', 'WITHSCORES')[2])
end

-- How often a job was started with this, as text, and notes what its hash says of the start before,
-- if there was one.
local function count_start(note, ats, processed_on)
    if not ats and not processed_on then
        return '1'
    end
    note.before[#note.taken + 1] = { ats, processed_on }
    return string.format('%.0f', (tonumber(ats) or 0) + 1)
end

-- Reads a job, and puts its fields behind the place `n` of `reply`. Answers with the next place, when
-- (false: that is not written yet) and how often it was started, and whether it counts for the rate
-- limiter; with nothing when the key is no job's.
local function read_whole(key, now, late, reply, n, note)
    local f, ats
    if late then
        f = try('HMGET', key, 'name', 'data', 'opts', 'timestamp', 'parentKey', 'ats', 'atm',
            'defa', 'stc')
    else
        f = try('HMGET', key, 'name', 'data', 'opts', 'timestamp', 'parentKey', 'ats', 'atm',
            'defa')
    end
    -- A job that was removed while it waited leaves its id behind, and BullMQ before 5.0
    -- its markers: pass over them.
    if not (f[1] or f[4] or is_job(key)) then
        return nil
    end
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = f[1], f[2], f[3], f[4]
    reply[n + 5], reply[n + 6], reply[n + 7], reply[n + 8] = f[5], f[6], f[7], f[8]
    n = n + 8
    if f[6] or f[7] or f[9] then
        if not f[6] and f[9] then
            reply[n - 2] = '0' -- it has run before, so the worker learns that
        end
        local more = raw('HMGET', key, 'stc', 'stacktrace', 'progress', 'failedReason',
            'processedOn')
        reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = more[1], more[2], more[3], more[4]
        n, late = n + 4, false
        ats = count_start(note, f[6], more[5])
    end
    local at = not late and now
    if at and f[4] and f[4] > now then -- mostly not, and that is cheap to see
        at = not_before(f[4], now)
    end
    return n, at, ats or '1', not f[8]
end

-- The same of a job that the worker reads. `late`: it sees there whether the job has run before, and
-- writes its start later. `asked`: it wants to read it, so nobody looks whether the clock of who made
-- the job is ahead; `limits`: whether it counts matters.
local function read_start(key, now, late, reply, n, note, asked, limits)
    local ats, count, at = nil, 0, nil
    if late then
        note.before[#note.taken + 1] = false
    else
        local before = try('HGET', key, 'ats')
        if type(before) == 'table' then
            if is_job(key) then
                error(before.err, 0)
            end
            return nil
        end
        ats, count, at = '1', 1, now
        if before then
            ats = count_start(note, before, raw('HGET', key, 'processedOn'))
            count = math.max(1, math.min(tonumber(ats), 2 ^ 53)) -- what is stored may be any number
        end
        if not asked then
            at, count = not_before(raw('HGET', key, 'timestamp'), now), -count
        end
    end
    reply[n + 1] = count
    return n + 1, at, ats, limits and not raw('HGET', key, 'defa')
end

-- Whether the worker is to read the jobs of which this is the first.
local function is_apart(key, asked)
    local size = not asked and try('HSTRLEN', key, 'data')
    return asked or type(size) == 'number' and size > LARGE_BYTES
end

-- Starts the jobs of `ids` that still exist; appends them to `reply`, returns how many and how
-- many of these count for the rate limiter.
local function start(k, w, now, ids, reply, note, limits)
    local base, token, lock_ms, name, events = w[1], w[6], w[7], w[8], k[9]
    local events_on = string.find(w[2], FLAG_EVENTS, 1, true)
    local late = lock_ms == '-1'
    local open = late or lock_ms == '0'
    local taken, starts, n, keys = note.taken, 0, #reply, {}
    for i = 1, #ids do
        keys[i] = base .. ids[i]
    end
    must_be_allowed('DEL', keys[1] .. ':lock')
    local asked = w[14] == '1'
    local apart = is_apart(keys[1], asked)
    local all = not apart or raw('EXISTS', unpack(keys)) == #keys -- one look, as a rule
    for i = 1, #ids do
        local id, key = ids[i], keys[i]
        local past, at, ats, counts
        if not apart then
            past, at, ats, counts = read_whole(key, now, late, reply, n + 1, note)
        elseif all or is_job(key) then
            past, at, ats, counts = read_start(key, now, late, reply, n + 1, note, asked, limits)
        end
        if past then
            taken[#taken + 1] = id
            reply[n + 1], n = id, past
            if counts then
                starts = starts + 1
            end
            if at and name ~= '' then
                raw('HSET', key, 'processedOn', at, 'ats', ats, 'pb', name)
            elseif at then
                raw('HSET', key, 'processedOn', at, 'ats', ats)
            end
            if not open then
                raw('PSETEX', key .. ':lock', lock_ms, token)
            end
            if events_on then
                local event = raw('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev',
                    'waiting')
                if not note.told then
                    note.told = event
                end
            end
        end
    end
    if open and #taken > 0 then -- a mark of this id would be older than the run
        raw('SREM', base .. 'stalled', unpack(taken))
    end
    if note.active then
        if #taken == 0 then
            raw('LREM', k[2], '1', note.active)
        end
    elseif #taken > 0 then
        raw('LPUSH', k[2], unpack(taken))
        note.active = true
    end
    return #taken, starts
end

-- Pops and starts up to `want` jobs, more than none. Answers with how many ids it looked at, and
-- how many jobs it got.
local function take_some(k, w, now, want, reply, limits)
    local note = { 'takes', at = #reply, taken = {}, before = {}, popped = false,
        ranked = false, active = false, told = false }
    undo[#undo + 1] = note
    must_be_allowed('RPUSH', k[1])
    local ids
    if want == 1 then -- one call instead of two
        local id = raw('RPOPLPUSH', k[1], k[2])
        ids, note.active = { id or nil }, id
    else
        ids = raw('RPOP', k[1], want) or {}
    end
    note.popped = ids
    local looked = #ids
    if looked < want then
        local ranked = raw('ZPOPMIN', k[3], want - looked)
        note.ranked = ranked
        if ranked[1] then
            ids = { unpack(ids) }
        end
        for i = 1, #ranked, 2 do
            ids[#ids + 1] = ranked[i]
        end
        looked = #ids
        if looked == 0 and not k.set_aside then
            raw('DEL', k[4])
        end
    end
    local got, starts = 0, 0
    if looked > 0 then
        got, starts = start(k, w, now, ids, reply, note, limits)
    end
    if limits then
        limits.count(starts)
    end
    return looked, got
end

-- `set` is HMGET meta: paused, concurrency, max.
local function take(k, w, now, clock, want, set)
    local reply = { 0, 0, '0', '0', w[6] }
    local due
    local popped_marker, look = w[11], w[12] == '1' or w[11] ~= '0'
    if look then
        due = first_due(k[5])
        if due and not clock and due < (now + w[13] + 1) * 4096 then
            now, clock = server_now(now, '-1') -- what is due is not told by a guess
        end
        if due and due < (now + 1) * 4096 then
            promote_due(w[1], w[2], tonumber(now))
            due = first_due(k[5])
        end
    end
    if popped_marker == '1' and due then
        raw('ZADD', k[7], due / 4096, '1')
    end
    reply[4] = clock or '0'
    local limits, asked = (set[3] or w[9] ~= '0') and limiter(k, w, set), want
    if limits then
        want, reply[2] = limits.left(want)
    end
    if reply[2] > 0 or set[1] then
        want = 0
    elseif set[2] then
        local most = whole(set[2])
        want = most and math.min(want, most - raw('LLEN', k[2])) or want
    end
    local got, looked, refused = 0, 0, nil
    while got < want and looked < 1000 and not refused do
        local at = #undo
        local ok, seen, started = pcall(take_some, k, w, now, want - got, reply, limits)
        if not ok then
            seen, started, refused = take_each(k, want - got, reply, at, seen, function()
                return take_some(k, w, now, 1, reply, limits)
            end)
        end
        if seen == 0 then
            break
        end
        got, looked = got + started, looked + seen
    end
    -- There may be more: wake the next worker, who does the same. (Without a job to show for
    -- it when many of those that waited are gone.)
    local more = (got > 0 and got == want or looked >= 1000) and raw('EXISTS', k[1], k[3]) > 0
    if more then
        raw('ZADD', k[7], '0', '0')
    end
    if more and got == asked then
        reply[3] = '?'
    elseif got < want or got == asked then
        if not look then
            due = first_due(k[5])
        end
        reply[3] = due and string.format('%.17g', due / 4096) or '0'
    end
    if popped_marker == '?' and due and got > 0 and got == want then
        raw('ZADD', k[7], due / 4096, '1')
    end
    reply[1] = got
    for i = 1, refused and #refused or 0 do
        reply[#reply + 1] = refused[i]
    end
    return reply
end
