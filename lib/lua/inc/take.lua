--@include is_job whole server_now must_be_allowed
--@rare promote_due
--@rare take_each
-- Takes up to `want` jobs for one worker. `k` holds the keys, `w` what the worker says: token,
-- lock_ms, name, limit_max, limit_ms, flags, marker ('1' when it popped the delay marker, '?' when
-- it cannot know yet), look ('0' when it looked for jobs that are due in this very millisecond).
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
    must_be_allowed('RPUSH', k.wait)
    local popped = raw('RPOP', k.wait, want) or {}
    local count = #popped
    note.popped = popped
    for i = 1, count do
        -- Ids that begin with "0:" are markers of BullMQ before 5.0.
        if string.sub(popped[i], 1, 2) ~= '0:' then
            ids[#ids + 1] = popped[i]
        end
    end
    if count < want then
        local ranked = raw('ZPOPMIN', k.prioritized, want - count)
        note.ranked = ranked
        for i = 1, #ranked, 2 do
            ids[#ids + 1] = ranked[i]
        end
        count = count + #ranked / 2
        if count == 0 and not k.set_aside then
            raw('DEL', k.pc)
        end
    end
    return count
end

-- The rate limits that hold, each as the key of its counter, how many starts and the window in
-- ms; nil for none. One limit is counted where BullMQ counts it. Of two, the queue's own is, and
-- the worker's beside the queue's keys, where only Ox looks.
local function limits(k, w, set)
    local max, own_max = whole(set[3]) or 0, whole(w.limit_max) or 0
    if max == 0 and own_max == 0 then
        return nil
    end
    local window, own = math.abs(tonumber(set[4]) or 0), math.abs(tonumber(w.limit_ms) or 0)
    if max > 0 and own_max > 0 and window > 0 then
        local prefix, name = string.match(k.base, '^(.*):([^:]*):$')
        return { { k.limiter, max, window },
            { prefix .. '::ox:limit:' .. name, own_max, own } }
    end
    return { { k.limiter, max > 0 and max or own_max, own > 0 and own or window } }
end

-- How many starts a limit leaves, and if none, for how long.
local function left_of(limit)
    local count = raw('GET', limit[1])
    local used = count and string.find(count, '^%d+$') and tonumber(count)
    if count and not (used and used < limit[2]) then
        local wait = used and raw('PTTL', limit[1]) or 0
        if wait > 0 then
            return 0, wait
        end
        raw('DEL', limit[1])
        used = 0
    end
    return limit[2] - (used or 0), 0
end

-- How many may start now, by the queue's concurrency and the rate limits, and the longest wait
-- that these ask for.
local function allowance(k, limited, set, want)
    local wait = 0
    for _, limit in ipairs(limited or {}) do
        local left, pause = left_of(limit)
        want, wait = math.min(want, left), math.max(wait, pause)
    end
    if wait > 0 or set[1] then
        return 0, wait
    end
    local most = whole(set[2])
    if most then
        want = math.min(want, most - raw('LLEN', k.active))
    end
    return want, 0
end

local function count_starts(limited, starts)
    for _, limit in ipairs(limited) do
        if starts > 0 and call('INCRBY', limit[1], starts) == starts then
            call('PEXPIRE', limit[1], math.floor(math.min(9007199254740991, limit[3])))
        end
    end
end

-- The score of the delayed job that is due first, nil if there is none.
local function first_due(k)
    return tonumber(raw('ZRANGE', k.delayed, '0', '0', 'WITHSCORES')[2])
end

-- Starts the jobs of `ids` that still exist; appends them to `reply`, returns how many and how
-- many of these count for the rate limiter.
local function start(k, w, now, ids, reply, note)
    local base, token, lock_ms, name, events = k.base, w.token, w.lock_ms, w.name, k.events
    local events_on = string.find(w.flags, 'e', 1, true)
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
    if #taken > 0 then
        raw('LPUSH', k.active, unpack(taken))
        note.active = true
    end
    return #taken, starts
end

local function new_note(k, reply)
    local note = { 'takes', k = k, reply = reply, at = #reply, taken = {}, told = {},
        popped = false, ranked = false, active = false }
    undo[#undo + 1] = note
    return note
end

-- Pops and starts up to `want`; the note says how many.
local function take_some(k, w, now, want, reply, limited, note)
    local ids = {}
    note.looked = pop(k, want, ids, note)
    note.got = 0
    if note.looked > 0 then
        local starts
        note.got, starts = start(k, w, now, ids, reply, note)
        if limited then
            count_starts(limited, starts)
        end
    end
    return note
end

-- `set` is HMGET meta: paused, concurrency, max, duration.
local function take(k, w, now, want, set)
    local reply = { 0, 0, '0', '0', w.token }
    local due
    local look = w.look == '1' or w.marker ~= '0'
    if look then
        due = first_due(k)
        if due and due < (now + 1) * 4096 then
            promote_due(k.base, w.flags, tonumber(now))
            due = first_due(k)
        end
    end
    if w.marker == '1' and due then
        raw('ZADD', k.marker, due / 4096, '1')
    end
    local limited, asked = limits(k, w, set), want
    want, reply[2] = allowance(k, limited, set, want)
    local got, looked, refused = 0, 0, nil
    while got < want and looked < 1000 do
        local at = #undo
        local ok, some = pcall(take_some, k, w, now, want - got, reply, limited,
            new_note(k, reply))
        if not ok then
            some = take_each(k, want - got, reply, at, some, new_note,
                function(note)
                    return take_some(k, w, now, 1, reply, limited, note)
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
    local more = (got > 0 and got == want or looked >= 1000) and
        raw('EXISTS', k.wait, k.prioritized) > 0
    if more then
        raw('ZADD', k.marker, '0', '0')
    end
    if more and got == asked then
        reply[3] = '?'
    elseif got < want or got == asked then
        if not look then
            due = first_due(k)
        end
        reply[3] = due and string.format('%.17g', due / 4096) or '0'
    end
    reply[4] = w.clock or '0'
    if w.marker == '?' and due and got > 0 and got == want then
        raw('ZADD', k.marker, due / 4096, '1')
    end
    reply[1] = got
    for i = 1, refused and #refused or 0 do
        reply[#reply + 1] = refused[i]
    end
    return reply
end
