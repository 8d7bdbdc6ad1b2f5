--@include queue_at promote_due mark
-- Takes up to `want` jobs for one worker. `k` holds the keys, `w` what the worker says: token,
-- lock_ms, name, limit_max, limit_ms, flags, marker ('1' when it popped the delay marker).
--
-- Answers flat: how many, ms until the rate limiter opens, when the next delayed job is due
-- (text, '0' for none), then for each job its id and eight fields; a job that was started
-- before has six more.
local function pop(k, want, ids)
    if want <= 0 then
        return
    end
    for _, id in ipairs(call('RPOP', k.wait, want) or {}) do
        -- Ids that begin with "0:" are markers of BullMQ before 5.0.
        if string.sub(id, 1, 2) ~= '0:' then
            ids[#ids + 1] = id
        end
    end
    if #ids < want then
        local pairs_of = call('ZPOPMIN', k.prioritized, want - #ids)
        for i = 1, #pairs_of, 2 do
            ids[#ids + 1] = pairs_of[i]
        end
        if #pairs_of == 0 and #ids == 0 then
            call('DEL', k.pc)
        end
    end
end

-- How many may start now: by the queue's concurrency and the rate limiter; and the limiter's
-- wait. `limit` is true when starts are counted.
local function allowance(k, w, set, want)
    local max = tonumber(set[3]) or tonumber(w.limit_max) or 0
    if max > 0 then
        local used = tonumber(call('GET', k.limiter)) or 0
        if used >= max then
            local left = call('PTTL', k.limiter)
            if left > 0 then
                return 0, left, true
            end
            call('DEL', k.limiter)
            used = 0
        end
        want = math.min(want, max - used)
    end
    if set[1] then
        return 0, 0, max > 0
    end
    if set[2] then
        want = math.min(want, tonumber(set[2]) - call('LLEN', k.active))
    end
    return want, 0, max > 0
end

local function count_starts(k, w, set, starts)
    if starts > 0 and call('INCRBY', k.limiter, starts) == starts then
        local window = tonumber(w.limit_ms) or 0
        if window == 0 then
            window = tonumber(set[4]) or 0
        end
        call('PEXPIRE', k.limiter, math.floor(math.abs(window)))
    end
end

local function next_due(k)
    local head = call('ZRANGE', k.delayed, 0, 0, 'WITHSCORES')
    return head[2] and string.format('%.17g', head[2] / 4096) or '0'
end

-- Starts the jobs of `ids` that still exist; appends them to `reply`, returns how many.
local function start(k, w, now, ids, reply, limit)
    local taken, starts = {}, 0
    local events_on = string.find(w.flags, 'e', 1, true)
    for _, id in ipairs(ids) do
        local key = k.base .. id
        local f = call('HMGET', key, 'name', 'data', 'opts', 'timestamp', 'ats', 'rjk',
            'parentKey', 'defa')
        -- A job that was removed while it waited leaves its id behind: pass over it.
        if f[1] or f[4] or call('EXISTS', key) == 1 then
            local ats = f[5]
            taken[#taken + 1] = id
            local n = #reply
            reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = id, f[1], f[2], f[3]
            reply[n + 5], reply[n + 6], reply[n + 7] = f[4], ats, f[6]
            reply[n + 8], reply[n + 9] = f[7], f[8]
            if ats then
                local more = call('HMGET', key, 'atm', 'stc', 'stacktrace', 'progress',
                    'failedReason', 'processedOn')
                for i = 1, 6 do
                    reply[n + 9 + i] = more[i]
                end
                ats = string.format('%.0f', ats + 1)
            else
                ats = '1'
            end
            if limit and not f[8] then
                starts = starts + 1
            end
            call('SET', key .. ':lock', w.token, 'PX', w.lock_ms)
            if events_on then
                call('XADD', k.events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
            end
            if w.name ~= '' then
                call('HSET', key, 'processedOn', now, 'ats', ats, 'pb', w.name)
            else
                call('HSET', key, 'processedOn', now, 'ats', ats)
            end
        end
    end
    if #taken > 0 then
        call('LPUSH', k.active, unpack(taken))
    end
    return #taken, starts
end

-- `set` is HMGET meta: paused, concurrency, max, duration.
local function take(k, w, now, want, set)
    local reply = { 0, 0, '0' }
    local head = call('ZRANGEBYSCORE', k.delayed, 0, (now + 1) * 4096 - 1, 'LIMIT', 0, 1)
    if head[1] then
        promote_due(queue_at(k.base, w.flags), tonumber(now))
    end
    if w.marker == '1' then
        mark_delay(k)
    end
    local limit
    want, reply[2], limit = allowance(k, w, set, want)
    local got = 0
    while got < want do
        local ids = {}
        pop(k, want - got, ids)
        if #ids == 0 then
            break
        end
        local taken, starts = start(k, w, now, ids, reply, limit)
        count_starts(k, w, set, starts)
        got = got + taken
    end
    if got > 0 and got == want then
        call('ZADD', k.marker, 0, '0')
    elseif got < want then
        reply[3] = next_due(k)
    end
    reply[1] = got
    return reply
end
