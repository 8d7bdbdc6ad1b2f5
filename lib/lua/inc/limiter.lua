--@include whole
-- The rate limits that hold, nil for none. `left(want)` says how many may start and how long the
-- longest wait is, `count(starts)` counts them. One limit is counted where BullMQ counts it. Of
-- two, the queue's own is, and the worker's beside the queue's keys, where only Ox looks.
-- `k` and `w` as in inc/take.lua, `set` is HMGET meta: paused, concurrency, max.
local function limiter(k, w, set)
    local max, own_max = whole(set[3]) or 0, whole(w[9]) or 0
    if max == 0 and own_max == 0 then
        return nil
    end
    -- Each as the key of its counter, how many starts, and the window in ms.
    local limits
    local window = math.abs(tonumber(raw('HGET', k[8], 'duration')) or 0)
    local own = math.abs(tonumber(w[10]) or 0)
    if max > 0 and own_max > 0 and window > 0 then
        local prefix, name = string.match(w[1], '^(.*):([^:]*):$')
        limits = { { k[6], max, window }, { prefix .. '::ox:limit:' .. name, own_max, own } }
    else
        limits = { { k[6], max > 0 and max or own_max, own > 0 and own or window } }
    end

    -- How many starts a limit leaves, and if none, for how long.
    local function left_of(limit)
        local count = raw('GET', limit[1])
        local used = count and string.find(count, '^%d+$') and tonumber(count)
        if count and not (used and used < limit[2]) then
            local wait = used and raw('PTTL', limit[1]) or 0
            -- Longer than a window, and no handler asked for it: the server's clock was set back.
            if wait > limit[3] and limit[3] > 0 and used < NO_STARTS then
                wait = math.floor(limit[3])
                call('PEXPIRE', limit[1], wait)
            end
            if wait > 0 then
                return 0, wait
            end
            raw('DEL', limit[1])
            used = 0
        end
        return limit[2] - (used or 0), 0
    end

    return {
        left = function(want)
            local wait = 0
            for _, limit in ipairs(limits) do
                local left, pause = left_of(limit)
                want, wait = math.min(want, left), math.max(wait, pause)
            end
            return want, wait
        end,
        count = function(starts)
            for _, limit in ipairs(limits) do
                if starts > 0 and call('INCRBY', limit[1], starts) == starts then
                    call('PEXPIRE', limit[1],
                        math.floor(math.min(9007199254740991, limit[3])))
                end
            end
        end,
    }
end
