-- What makes a script whole: Redis does not take back what a script wrote before it failed, so
-- this does. embed.sh puts it into every script, around main().
--
-- `call` is redis.call that notes with each write what takes it back. What must be fast uses
-- `raw`, redis.call itself, and notes by hand what takes back many writes at once: a table at
-- the end of `undo`, whose first element is a name of `backs`; what it says grows with what was
-- written. Marks that only wake someone need no note, nor
-- do the marks of the check for stalled jobs, or the cap of the event stream.
--
-- A write whose opposite the user may not do is refused before it is done, where the server can
-- tell (Redis 7: `may`); see inc/must_be_allowed.lua. What is deleted goes last: inc/drop_keys.lua.
--
-- Lua makes the functions of a script anew at each call, so all that is seldom needed is made
-- when it is.
local undo, parts, make_parts = {}, nil, nil

-- The writes that are frequent note by themselves what takes them back; a key that is new needs
-- no reading for that. All others are in `writes`.
local function call(command, key, ...)
    if command == 'XADD' then
        local id = raw(command, key, ...)
        undo[#undo + 1] = { 'XDEL', key, id }
        return id
    end
    if command == 'ZADD' and select('#', ...) == 2 and (not may or may('ZREM', key, '1')) then
        if raw(command, key, 'NX', ...) == 1 then
            undo[#undo + 1] = { 'ZREM', key, (select(2, ...)) }
            return 1
        end
    elseif command == 'INCR' and (not may or may('DECRBY', key, '1')) then
        local sum = raw(command, key)
        undo[#undo + 1] = sum == 1 and { 'DEL', key } or { 'DECRBY', key, 1 }
        return sum
    elseif (command == 'LPUSH' or command == 'RPUSH') and select('#', ...) == 1 and
        (not may or may('LTRIM', key, '1')) then
        local size = raw(command, key, ...)
        undo[#undo + 1] = { 'LTRIM', key, command == 'LPUSH' and 1 or 0,
            command == 'LPUSH' and -1 or -2 }
        return size
    end
    parts = parts or make_parts()
    local write = parts.writes[command]
    if write then
        return write(command, key, ...)
    end
    return raw(command, key, ...)
end

-- Runs f(...). When it fails, what it wrote is taken back. Answers as pcall does, the error as
-- text that begins with its code.
local function guarded(f, ...)
    local mark = #undo
    local ok, answer = pcall(f, ...)
    if not ok then
        parts = parts or make_parts()
        answer = parts.take_back(mark, answer)
    end
    return ok, answer
end

make_parts = function()
    local dropped = {}

    local function is_allowed(command, key, more)
        if command == 'DEL' then -- all that follows are keys
            return may(command, key)
        end
        return may(command, key, more or '1')
    end

    local function must_be_allowed(command, key, more)
        if may and not is_allowed(command, key, more) then
            error('NOPERM the user may not do ' .. command .. ' on ' .. key ..
                ', which would be needed to take back a change', 0)
        end
    end

    -- Notes a command that takes back a write, done or to come.
    local function note(command, key, ...)
        must_be_allowed(command, key)
        undo[#undo + 1] = { command, key, ... }
    end

    -- Puts ids back to where drop_at() found them: the end of the list that they were counted from
    -- is taken off and written again, as far as they stood from it.
    local function put_back(s)
        local at_head, known, reach = s.from > 0, {}, 0
        for i, index in ipairs(s.indexes) do
            local distance = at_head and index + 1 or -index
            known[distance] = s.ids[i]
            reach = math.max(reach, distance)
        end
        local others = reach - #s.indexes
        local part = {}
        if others > 0 then
            part = try('LRANGE', s.key, at_head and 0 or -others, at_head and others - 1 or -1)
            try('LTRIM', s.key, at_head and others or 0, at_head and -1 or -1 - others)
        end
        local all, next_part = {}, at_head and 1 or #part
        for distance = 1, reach do
            local id = known[distance]
            if not id then
                id, next_part = part[next_part], next_part + (at_head and 1 or -1)
            end
            all[reach + 1 - distance] = id -- the innermost first
        end
        for i = 1, reach, 4000 do
            try(at_head and 'LPUSH' or 'RPUSH', s.key,
                unpack(all, i, math.min(i + 3999, reach)))
        end
    end

    -- Takes back the events from the id `first` on: whatever stands there this script has told.
    local function untell(first)
        local rows = first and try('XRANGE', KEYS[9], first, '+') or {}
        for i = 1, #rows do
            try('XDEL', KEYS[9], rows[i][1])
        end
    end

    -- What cannot be taken back does not keep the rest: so all of these use `try`.
    local backs = {
        -- inc/drop_keys.lua
        drops = function(s)
            for i = #dropped, s.kept + 1, -1 do
                dropped[i] = nil
            end
        end,
        -- inc/drop_at.lua
        places = function(s)
            if s.gone then
                put_back(s)
                return
            end
            for i = s.marked, 1, -1 do
                try('LSET', s.key, s.indexes[i], s.ids[i])
            end
        end,
        -- inc/take.lua. `active`: true when all that was taken is there, else the one id that is;
        -- `before`, by place in `taken`: what a hash said of the start before; false: this one is
        -- not written.
        takes = function(s)
            local base, wait, active, prioritized = ARGV[1], KEYS[1], KEYS[2], KEYS[3]
            if s.active and s.active ~= true then
                try('LREM', active, '1', s.active)
            end
            for i = 1, #s.taken do
                local key, before = base .. s.taken[i], s.before[i]
                if s.active == true then
                    try('LREM', active, '1', s.taken[i])
                end
                try('DEL', key .. ':lock')
                if before ~= false then
                    try('HDEL', key, 'processedOn', 'ats')
                end
                for j, name in ipairs({ 'ats', 'processedOn' }) do
                    if before and before[j] then
                        try('HSET', key, name, before[j])
                    end
                end
            end
            untell(s.told)
            for i = s.popped and #s.popped or 0, 1, -1 do
                try('RPUSH', wait, s.popped[i])
            end
            for i = 1, s.ranked and #s.ranked or 0, 2 do
                try('ZADD', prioritized, s.ranked[i + 1], s.ranked[i])
            end
        end,
        -- complete_jobs.lua and end_jobs.lua. `late`, of the former: which ids had no start
        -- written before. `fields`, in threes, of the latter: a key, and what
        -- `atm` and `defa` were. (The texts of an earlier failure are not worth a reading.)
        ends = function(s)
            local base, active, completed, failed = ARGV[1], KEYS[2], KEYS[11], KEYS[12]
            for i = 2, #s.finished, 2 do
                try('ZREM', completed, s.finished[i])
                local key = base .. s.finished[i]
                try('HDEL', key, 'returnvalue', 'finishedOn', 'atm')
                if s.late and s.late[s.finished[i]] then
                    try('HDEL', key, 'processedOn', 'ats', 'pb')
                end
            end
            for i = 2, s.lost and #s.lost or 0, 2 do
                try('ZREM', failed, s.lost[i])
            end
            for i = 1, s.fields and #s.fields or 0, 3 do
                local key = s.fields[i]
                try('HDEL', key, 'finishedOn', 'atm')
                for j, name in ipairs({ 'atm', 'defa' }) do
                    if s.fields[i + j] then
                        try('HSET', key, name, s.fields[i + j])
                    end
                end
            end
            untell(s.told)
            for i = #s.ids, 1, -1 do
                if s.gone[1] or s.gone[s.ids[i]] then
                    try('RPUSH', active, s.ids[i])
                end
            end
        end,
    }

    -- Redis does not say which key is of another type. This puts it into the error of a script of a
    -- stream (one of the stream, of the group, or of the queue that the error names).
    local function name_wrong(why)
        local base, prefix = string.match(KEYS[1], '^((.*)::ox:{[^{}]*}:)')
        local queue = string.match(why, '^WRONGTYPE queue (.-): ')
        local kinds = not base and {} or queue and {
            [prefix .. ':' .. queue .. ':'] = { wait = 'list', paused = 'list', active = 'list',
                prioritized = 'zset', delayed = 'zset', marker = 'zset', events = 'stream',
                meta = 'hash', id = 'string', pc = 'string' },
        } or {
            [base] = { log = 'stream', info = 'hash', binds = 'hash', routes = 'hash',
                seen0 = 'hash', seen1 = 'hash' },
            [base .. (of_group or '') .. ':'] = { dead = 'stream', again = 'stream',
                wake = 'stream', gone = 'hash', owner = 'string' },
            [prefix .. '::ox:'] = { streams = 'set' },
        }
        local wrong = {}
        for start, suffixes in pairs(kinds) do
            for suffix, kind in pairs(suffixes) do
                local is = try('TYPE', start .. suffix)['ok'] or kind
                if is ~= 'none' and is ~= kind then
                    wrong[#wrong + 1] = start .. suffix .. ' is a ' .. is .. ', not a ' .. kind
                end
            end
        end
        table.sort(wrong)
        return wrong[1] and 'WRONGTYPE ' .. table.concat(wrong, '; ') or why
    end

    -- Takes back what was noted behind `mark`, the newest first. Answers with the error's text.
    local function take_back(mark, why)
        for i = #undo, mark + 1, -1 do
            local step = undo[i]
            undo[i] = nil
            local back = backs[step[1]]
            if back then
                back(step)
            else
                try(unpack(step))
            end
        end
        why = string.gsub(type(why) == 'table' and why.err or tostring(why),
            '^@?user_%a+:%s*%d+:%s*%-?', '')
        if string.find(why, '^WRONGTYPE .*Operation') then
            why = name_wrong(why)
        end
        return string.find(why, '^%u+ ') and why or 'ERR ' .. why
    end

    local function drop(keys)
        undo[#undo + 1] = { 'drops', kept = #dropped }
        for i = 1, #keys do
            dropped[#dropped + 1] = keys[i]
        end
    end

    local function commit()
        for from = 1, #dropped, 5000 do
            raw('UNLINK', unpack(dropped, from, math.min(from + 4999, #dropped)))
        end
        dropped = {}
    end

    local function keep_fields(key, names)
        local old, had, new = raw('HMGET', key, unpack(names)), {}, {}
        for i = 1, #names do
            if old[i] then
                had[#had + 1], had[#had + 2] = names[i], old[i]
            else
                new[#new + 1] = names[i]
            end
        end
        if #had > 0 then
            note('HSET', key, unpack(had))
        end
        if #new > 0 then
            note('HDEL', key, unpack(new))
        end
    end

    local function keep_scores(key, members)
        local old, had, new = raw('ZMSCORE', key, unpack(members)), {}, {}
        for i = 1, #members do
            if old[i] then
                had[#had + 1], had[#had + 2] = old[i], members[i]
            else
                new[#new + 1] = members[i]
            end
        end
        if #had > 0 then
            note('ZADD', key, unpack(had))
        end
        if #new > 0 then
            note('ZREM', key, unpack(new))
        end
    end

    local function keep_members(key, members)
        local old, had, new = raw('SMISMEMBER', key, unpack(members)), {}, {}
        for i = 1, #members do
            local list = old[i] == 1 and had or new
            list[#list + 1] = members[i]
        end
        if #had > 0 then
            note('SADD', key, unpack(had))
        end
        if #new > 0 then
            note('SREM', key, unpack(new))
        end
    end

    local function keep_text(key)
        local old, ttl = raw('GET', key), raw('PTTL', key)
        if not old then
            note('DEL', key)
        elseif ttl > 0 then
            note('SET', key, old, 'PX', ttl)
        else
            note('SET', key, old)
        end
    end

    -- How the whole of a key that is deleted is read, and what writes it.
    local wholes = { hash = { 'HSET', 'HGETALL' }, set = { 'SADD', 'SMEMBERS' },
        list = { 'RPUSH', 'LRANGE', '0', '-1' }, zset = { 'ZADD', 'ZRANGE', '0', '-1',
            'WITHSCORES' } }
    local function keep_all(key)
        local type_of = raw('TYPE', key)['ok']
        if type_of == 'string' then
            keep_text(key)
        elseif wholes[type_of] then
            local how = wholes[type_of]
            local all = raw(how[2], key, unpack(how, 3))
            for i = 1, type_of == 'zset' and #all or 0, 2 do
                all[i], all[i + 1] = all[i + 1], all[i]
            end
            for from = 1, #all, 4000 do
                note(how[1], key, unpack(all, from, math.min(from + 3999, #all)))
            end
        end
    end

    -- Every `step`th of the arguments.
    local function each(step, from, ...)
        local given, some = { ... }, {}
        for i = from, #given, step do
            some[#some + 1] = given[i]
        end
        return some
    end

    local function delete(command, ...)
        local mark = #undo
        for _, key in ipairs({ ... }) do
            keep_all(key)
        end
        local done = try(command, ...)
        if type(done) == 'table' then -- all is there still, and lists must not grow
            for i = #undo, mark + 1, -1 do
                undo[i] = nil
            end
            error(done, 0)
        end
        return done
    end
    local function set_text(command, key, ...)
        keep_text(key)
        return raw(command, key, ...)
    end
    local function set_fields(command, key, ...)
        keep_fields(key, each(2, 1, ...))
        return raw(command, key, ...)
    end
    local function set_expiry(command, key, ...)
        local ttl = raw('PTTL', key)
        if ttl > 0 then
            note('PEXPIRE', key, ttl)
        else
            note('PERSIST', key)
        end
        return raw(command, key, ...)
    end
    local function count(command, key, ...)
        local by = ... or 1
        must_be_allowed('DECRBY', key)
        must_be_allowed('DEL', key)
        local sum = raw(command, key, ...)
        undo[#undo + 1] = sum == tonumber(by) and { 'DEL', key } or { 'DECRBY', key, by }
        return sum
    end

    local writes = {
        SET = set_text, PSETEX = set_text, HSET = set_fields,
        PEXPIRE = set_expiry, PERSIST = set_expiry, INCR = count, INCRBY = count,
        HDEL = function(command, key, ...)
            keep_fields(key, { ... })
            return raw(command, key, ...)
        end,
        HINCRBY = function(command, key, field, by)
            keep_fields(key, { field })
            return raw(command, key, field, by)
        end,
        ZADD = function(command, key, ...)
            keep_scores(key, each(2, 2, ...))
            return raw(command, key, ...)
        end,
        ZREM = function(command, key, ...)
            keep_scores(key, { ... })
            return raw(command, key, ...)
        end,
        SADD = function(command, key, ...)
            keep_members(key, { ... })
            return raw(command, key, ...)
        end,
        SREM = function(command, key, ...)
            keep_members(key, { ... })
            return raw(command, key, ...)
        end,
        DEL = delete, UNLINK = delete,
        ZREMRANGEBYRANK = function(command, key, from, to)
            local some = raw('ZRANGE', key, from, to, 'WITHSCORES')
            for i = 1, #some, 2 do
                note('ZADD', key, some[i + 1], some[i])
            end
            return raw(command, key, from, to)
        end,
        -- One id, from either end; it comes back before what stood behind it.
        LREM = function(command, key, from, id)
            must_be_allowed('LINSERT', key)
            must_be_allowed('RPUSH', key)
            local at = raw('LPOS', key, id, 'RANK', from)
            if not at then
                return 0
            end
            local follower = raw('LINDEX', key, at + 1)
            local found = raw(command, key, from, id)
            undo[#undo + 1] = follower and { 'LINSERT', key, 'BEFORE', follower, id } or
                { 'RPUSH', key, id }
            return found
        end,
        LPUSH = function(command, key, ...)
            must_be_allowed('LTRIM', key)
            local size = raw(command, key, ...)
            undo[#undo + 1] = { 'LTRIM', key, select('#', ...), -1 }
            return size
        end,
        RPUSH = function(command, key, ...)
            must_be_allowed('LTRIM', key)
            local size = raw(command, key, ...)
            undo[#undo + 1] = { 'LTRIM', key, 0, -1 - select('#', ...) }
            return size
        end,
        LTRIM = function(command, key, from, to)
            from, to = tonumber(from), tonumber(to)
            local head = from ~= 0 and raw('LRANGE', key, 0, from - 1) or {}
            local tail = to ~= -1 and raw('LRANGE', key, to + 1, -1) or {}
            must_be_allowed('RPUSH', key)
            must_be_allowed('LPUSH', key)
            local done = raw(command, key, from, to)
            for i = 1, #head do
                undo[#undo + 1] = { 'LPUSH', key, head[i] }
            end
            for i = #tail, 1, -1 do
                undo[#undo + 1] = { 'RPUSH', key, tail[i] }
            end
            return done
        end,
        RPOPLPUSH = function(command, key, to)
            must_be_allowed('LMOVE', to, key)
            local id = raw(command, key, to)
            if id then
                undo[#undo + 1] = { 'LMOVE', to, key, 'LEFT', 'RIGHT' }
            end
            return id
        end,
        RENAME = function(command, key, to)
            must_be_allowed('RENAME', to, key)
            local done = raw(command, key, to)
            undo[#undo + 1] = { 'RENAME', to, key }
            return done
        end,
    }
    return { writes = writes, note = note, take_back = take_back, drop = drop, commit = commit,
        must_be_allowed = must_be_allowed }
end
