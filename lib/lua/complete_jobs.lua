-- The common case of end_jobs, at half its cost: every run completed, was the job's first, has
-- no deduplication id, and all keep the same: everything ('') or nothing ('0'). `parents` is '1'
-- when one of them may have a parent. Runs that were taken together stand together: how many,
-- their token (see inc/open_run.lua), then the id and the value of each. Answers as end_jobs does.
--
-- All is stored at once or, when something fails, one by one: see inc/guard_each.lua.
--@keys wait active prioritized pc delayed limiter marker meta events stalled completed metrics:completed
--@args base flags max_events now want token lock_ms name limit_max limit_ms popped look error_ms apart metrics_points keep parents
--@rest count token job_id value
--@each
--@include take_or_drain server_now leave_active event_cap is_job open_run
--@include must_be_allowed
--@rare parent_ends.child_completed metrics.count_finished
local clock
now, clock = server_now(now, error_ms)
local events_on = string.find(flags, FLAG_EVENTS, 1, true)
local set = raw('HMGET', meta, 'paused', 'concurrency', 'max', 'opts.maxLenEvents')

-- `others` are keys that are not there as a rule: those that a job may have beside its hash and
-- its lock, if it is dropped, else those that forbid its end; and the set of stalled jobs. With
-- `value_at` a job's value is found in ARGV.
local ids, keys, locks, tokens, value_at, others = {}, {}, {}, {}, {}, {}
local n, at, o = 0, first, 0
local open, opens = nil, 0 -- of runs without a lock: till when they may be, and what to write
runs = 0
while at <= #ARGV do
    local last, owner = at + 2 * ARGV[at], ARGV[at + 1]
    local token, late, started, till = open_run(owner)
    local group = token and { till = till, started = late and started }
    owner = token or owner
    for i = at + 2, last, 2 do
        runs = runs + 1
        if not only or only == runs then
            local key = base .. ARGV[i]
            n = n + 1
            ids[n], keys[n], locks[n] = ARGV[i], key, key .. ':lock'
            tokens[n], value_at[n] = owner, i + 1
            if group then
                open = open or {}
                open[n], opens = group, opens + 1
            end
            others[o + 1], others[o + 2] = key .. ':dependencies', key .. ':unsuccessful'
            o = o + 2
            if keep == '0' then
                others[o + 1], others[o + 2], others[o + 3] = key .. ':logs',
                    key .. ':processed', key .. ':failed'
                o = o + 3
            end
        end
    end
    at = last + 2
end

-- Those that have no hold on their job any more, or whose job waits for children, are refused:
-- the code of each, and how many there are.
local refusal, bad = {}, 0
local function accepted(list, refusal, bad)
    if bad == 0 then
        return list
    end
    local some = {}
    for i = 1, #list do
        if not refusal[i] then
            some[#some + 1] = list[i]
        end
    end
    return some
end

-- When no run has a lock as a rule, one look shows that none has.
local all_open = opens == n and n > 0
local held = all_open and raw('EXISTS', unpack(locks)) == 0 and {} or
    n > 0 and raw('MGET', unpack(locks))
others[o + 1] = stalled
local marked = raw('EXISTS', unpack(others)) > 0 -- some job may be, at least
local bare = not marked or o == 0 or raw('EXISTS', unpack(others, 1, o)) == 0
for i = 1, n do
    local code
    if held[i] ~= tokens[i] and (held[i] or not open or not open[i] or
        open[i].till < tonumber(now)) then
        code = held[i] and OTHER_LOCK or raw('EXISTS', keys[i]) == 1 and NO_LOCK or NO_JOB
    elseif not bare and raw('SCARD', keys[i] .. ':dependencies') ~= 0 then
        code = PENDING_CHILDREN
    elseif not bare and raw('ZCARD', keys[i] .. ':unsuccessful') ~= 0 then
        code = FAILED_CHILDREN
    end
    if code then
        refusal[i], bad = code, bad + 1
    end
end

local finished, f, note = {}, 0, nil
if bad < n then
    local gone, mine = {}, accepted(ids, refusal, bad)
    note = { 'ends', finished = finished, ids = mine, gone = gone, told = false }
    undo[#undo + 1] = note
    if leave_active(active, mine, gone) then
        for i = 1, n do
            if not refusal[i] and not gone[ids[i]] then
                refusal[i], bad = held[i] and WRONG_STATE or
                    raw('EXISTS', keys[i]) == 1 and NO_LOCK or NO_JOB, bad + 1
            end
        end
    end
end

-- What is left to end leaves its lock, even if its hash is gone.
local left = accepted(ids, refusal, bad)
local free = all_open and #held == 0 and {} or accepted(locks, refusal, bad)

-- A parent can be given to a job that runs, if others chose its id, so it is read now. A hash
-- that is gone must not come back. One call shows that none has either, as a rule.
local read = parents == '1' or n > 0 and raw('EXISTS', unpack(keys)) < n
local cap = events_on and #left > 0 and event_cap(base, set[4], max_events)
for i = 1, n do
    if not refusal[i] then
        local id, key, value = ids[i], keys[i], ARGV[value_at[i]]
        local parent_key, there = nil, true
        if read then
            local fields = try('HMGET', key, 'name', 'parentKey')
            there, parent_key = fields[1] or is_job(key), fields[2]
        end
        if there and parent_key then
            child_completed(flags, key, parent_key, raw('HGET', key, 'parent'), value,
                tonumber(now))
        end
        if there and keep ~= '0' then
            local started, made = open and open[i] and not held[i] and open[i].started, nil
            if not started then
                made = try('HSET', key, 'returnvalue', value, 'finishedOn', now, 'atm', '1')
            else
                note.late = note.late or {}
                note.late[id] = true
                made = name ~= '' and try('HSET', key, 'processedOn', started, 'ats', '1',
                    'returnvalue', value, 'finishedOn', now, 'atm', '1', 'pb', name) or
                    try('HSET', key, 'processedOn', started, 'ats', '1', 'returnvalue', value,
                        'finishedOn', now, 'atm', '1')
            end
            if type(made) == 'number' then
                finished[f + 1], finished[f + 2] = now, id
                f = f + 2
            elseif is_job(key) then
                error(made.err, 0)
            else
                there = false -- the key has become something else
            end
        end
        if not there then
            refusal[i], bad = NO_JOB, bad + 1
        elseif cap then
            note.told = raw('XADD', events, 'MAXLEN', '~', cap, '*', 'event', 'completed',
                'jobId', id, 'returnvalue', value, 'prev', 'active')
            cap = nil
        elseif events_on then
            raw('XADD', events, '*', 'event', 'completed', 'jobId', id, 'returnvalue', value,
                'prev', 'active')
        end
    end
end
if f > 0 then
    raw('ZADD', completed, unpack(finished))
end
if metrics_points ~= '0' and #left > 0 then
    count_finished(metrics_completed, #left, metrics_points, tonumber(now))
end
if marked and #left > 0 then
    raw('SREM', stalled, unpack(left))
end
if keep == '0' then
    local dead = accepted(keys, refusal, bad)
    free = { unpack(free) }
    for i = 1, #dead do
        free[#free + 1] = dead[i]
    end
    for i = 1, bare and 0 or n do
        for j = 5 * i - 4, refusal[i] and 0 or 5 * i do
            free[#free + 1] = others[j]
        end
    end
end
if #free > 0 then
    raw('DEL', unpack(free))
end
ended = ended + #left
local refused = {}
for i = 1, bad > 0 and n or 0 do
    if refusal[i] then
        refused[#refused + 1], refused[#refused + 2] = only or i, refusal[i]
    end
end
if only and only > 0 then
    return { refused, {} }
end
local taken = take_behind_ends(KEYS, ARGV, now, clock, tonumber(want), set, ended,
    ended > 0 and events_on)
return { refused, taken, taken.err and token }
