--@include is_job whole server_now must_be_allowed
--@rare promote_due
--@rare take_each
--@rare limiter
-- Takes up to `want` jobs for one worker. `k` is KEYS and `w` is ARGV, which begin alike in all
-- scripts that take (a table with names for them would cost more than what is done with it):
--   k  wait active prioritized pc delayed limiter marker meta events
--   w  base flags max_events now want token lock_ms name limit_max limit_ms popped look
-- `popped` is '1' when the worker popped the delay marker, '?' when it cannot know yet; `look` is
-- '0' when it looked for jobs that are due in this very millisecond.
--
-- Answers flat: how many; ms until the rate limiter opens; when the next delayed job is due (text;
-- '?' when there were as many jobs as wanted and more wait, '0' when there is none or it is not
-- known); `now` in microseconds (text, '0' when the server may not be asked for its clock); the
-- token, by which the worker knows its call; then for each job its id and eight fields. A job
-- that was started or tried before has five more. (A
-- retry may forget the starts and keep the tries.) Behind the jobs: the id and the error of each
-- that could not be started, see inc/take_each.lua.

-- Appends up to `want` ids, more than none. Returns how many it popped.
local function pop(k, want, ids, note)
    must_be_allowed('RPUSH', k[1])
    local popped
    if want == 1 then -- one call instead of two
        local id = raw('RPOPLPUSH', k[1], k[2])
        note.moved = id
        popped = { id or nil }
    else
        popped = raw('RPOP', k[1], want) or {}
    end
    local count = #popped
    note.popped = popped
    for i = 1, count do
        -- Ids that begin with "0:" are markers of BullMQ before 5.0.
        if string.sub(popped[i], 1, 2) ~= '0:' then
            ids[#ids + 1] = popped[i]
        end
    end
    if count < want then
        local ranked = raw('ZPOPMIN', k[3], want - count)
        note.ranked = ranked
        for i = 1, #ranked, 2 do
            ids[#ids + 1] = ranked[i]
        end
        count = count + #ranked / 2
        if count == 0 and not k.set_aside then
            raw('DEL', k[4])
        end
    end
    return count
end

-- The score of the delayed job that is due first, nil if there is none.
local function first_due(k)
    return tonumber(raw('ZRANGE', k[5], '0', '0', 'WITHSCORES')[2])
end

-- Starts the jobs of `ids` that still exist; appends them to `reply`, returns how many and how
-- many of these count for the rate limiter.
local function start(k, w, now, ids, reply, note)
    local base, token, lock_ms, name, events = w[1], w[6], w[7], w[8], k[9]
    local events_on = string.find(w[2], 'e', 1, true)
    local taken, told, starts, n = note.taken, note.told, 0, #reply
    if ids[1] then
        must_be_allowed('DEL', base .. ids[1] .. ':lock')
    end
    for i = 1, #ids do
        local id = ids[i]
        local key = base .. id
        local f = try('HMGET', key, 'name', 'data', 'opts', 'timestamp', 'parentKey', 'ats',
            'atm', 'defa')
        -- A job that was removed while it waited leaves its id behind: pass over it.
        if f[1] or f[4] or is_job(key) then
            local ats = '1'
            taken[#taken + 1] = id
            reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = id, f[1], f[2], f[3]
            reply[n + 5], reply[n + 6], reply[n + 7], reply[n + 8] = f[4], f[5], f[6], f[7]
            reply[n + 9] = f[8]
            n = n + 9
            if f[6] or f[7] then
                local more = raw('HMGET', key, 'stc', 'stacktrace', 'progress',
                    'failedReason', 'processedOn')
                for j = 1, 5 do
                    reply[n + j] = more[j]
                end
                n = n + 5
                ats = string.format('%.0f', (tonumber(f[6]) or 0) + 1)
            end
            if not f[8] then
                starts = starts + 1
            end
            if name ~= '' then
                raw('HSET', key, 'processedOn', not_before(f[4], now), 'ats', ats, 'pb', name)
            else
                raw('HSET', key, 'processedOn', not_before(f[4], now), 'ats', ats)
            end
            raw('PSETEX', key .. ':lock', lock_ms, token)
            if events_on then
                told[#told + 1] = raw('XADD', events, '*', 'event', 'active', 'jobId', id,
                    'prev', 'waiting')
            end
        end
    end
    if note.moved then
        if #taken == 0 then
            raw('LREM', k[2], '1', note.moved)
        end
    elseif #taken > 0 then
        raw('LPUSH', k[2], unpack(taken))
        note.active = true
    end
    return #taken, starts
end

-- How many may start now, by the queue's concurrency and the rate limits, and the longest wait
-- that these ask for.
local function allowance(k, limits, set, want)
    local wait = 0
    if limits then
        want, wait = limits.left(want)
    end
    if wait > 0 or set[1] then
        return 0, wait
    end
    local most = whole(set[2])
    if most then
        want = math.min(want, most - raw('LLEN', k[2]))
    end
    return want, 0
end

local function new_note(reply)
    local note = { 'takes', reply = reply, at = #reply, taken = {}, told = {} }
    undo[#undo + 1] = note
    return note
end

-- Pops and starts up to `want`; the note says how many.
local function take_some(k, w, now, want, reply, limits, note)
    local ids = {}
    note.looked = pop(k, want, ids, note)
    note.got = 0
    if note.looked > 0 then
        local starts
        note.got, starts = start(k, w, now, ids, reply, note)
        if limits then
            limits.count(starts)
        end
    end
    return note
end

-- `set` is HMGET meta: paused, concurrency, max, duration.
local function take(k, w, now, clock, want, set)
    local reply = { 0, 0, '0', clock or '0', w[6] }
    local due
    local popped_marker, look = w[11], w[12] == '1' or w[11] ~= '0'
    if look then
        due = first_due(k)
        if due and due < (now + 1) * 4096 then
            promote_due(w[1], w[2], tonumber(now))
            due = first_due(k)
        end
    end
    if popped_marker == '1' and due then
        raw('ZADD', k[7], due / 4096, '1')
    end
    local limits, asked = (set[3] or w[9] ~= '0') and limiter(k, w, set), want
    want, reply[2] = allowance(k, limits, set, want)
    local got, looked, refused = 0, 0, nil
    while got < want and looked < 1000 do
        local at = #undo
        local ok, some = pcall(take_some, k, w, now, want - got, reply, limits,
            new_note(reply))
        if not ok then
            some = take_each(k, want - got, reply, at, some, new_note,
                function(note)
                    return take_some(k, w, now, 1, reply, limits, note)
                end)
        end
        if some.looked == 0 then
            break
        end
        got, looked = got + some.got, looked + some.looked
        if not ok then
            refused = some.refused
            break
        end
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
            due = first_due(k)
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
