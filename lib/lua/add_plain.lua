-- Adds jobs that differ in their data only: same name and options, no delay, priority, id,
-- parent or deduplication. Answers with the last id; the ids are consecutive.
--
-- The data of one large job may stand apart, in the field `data` of a hash, so that it is not
-- copied through Lua: that hash becomes the job's. Then the data is '', and its suffix follows.
-- See queue/add_large.h.
--
-- One job alone goes another way than several, without tables and loops. Its call costs more
-- than its commands do, each key and argument a hundredth of the whole: so most keys are made here
-- from one of them. (Two are given, so that Redis Cluster sees at once whether they share a slot.)
--@plain
--@keys id wait
--@args flags max_events name opts timestamp
--@rest data
--@rare event_cap
--@rare whole
--@rare store_apart
local base = string.sub(id, 1, -3)
local settings = raw('HMGET', base .. 'meta', 'paused', 'concurrency', 'opts.maxLenEvents')
local blocked, most, cap = settings[1], settings[2] and whole(settings[2]), settings[3]
local list = wait
if blocked and string.find(flags, FLAG_LEGACY_PAUSE, 1, true) then
    list = base .. 'paused'
end
if most and not blocked then
    blocked = raw('LLEN', base .. 'active') >= most
end
if may and not may('DEL', list) then
    return { err = 'NOPERM the user may not do DEL, which would be needed to take back a change' }
end
local events = string.find(flags, FLAG_EVENTS, 1, true) and base .. 'events'
if cap ~= max_events and (events or not cap) then -- as text it costs less than as a number
    cap = event_cap(base, cap, max_events)
end
if not blocked then
    raw('ZADD', base .. 'marker', '0', '0')
end
-- What fails stays in `problem`: this script has no main() that would be taken back.
local count, ids, old, problem = #ARGV - first + 1, nil, nil, nil
local data = ARGV[first]
if count == 1 or data == '' then
    count = 1
    local job = string.format('%d', raw('INCR', id))
    local answer
    if data ~= '' then
        answer = try('HSET', base .. job, 'name', name, 'data', data, 'opts', opts,
            'timestamp', timestamp, 'delay', '0', 'priority', '0')
    else
        answer = store_apart(base, ARGV[first + 1], job, name, opts, timestamp)
    end
    local made = answer
    if events and type(made) == 'number' then
        answer = try('XADD', events, 'MAXLEN', '~', cap, '*', 'event', 'added', 'jobId', job,
            'name', name)
        if type(answer) == 'string' then
            answer = try('XADD', events, '*', 'event', 'waiting', 'jobId', job)
        end
    end
    if type(answer) ~= 'table' then
        answer = try('LPUSH', list, job)
        if type(answer) == 'number' then
            return job
        end
    end
    problem, ids, old = answer, { type(made) == 'number' and job or nil }, { [job] = made ~= 6 }
end
if count > 1 then
    local before = raw('INCRBY', id, count) - count - first + 1
    ids, old = {}, {}
    for i = first, #ARGV do
        local job = string.format('%d', before + i) -- cheaper than %.0f, and exact
        local made = try('HSET', base .. job, 'name', name, 'data', ARGV[i], 'opts', opts,
            'timestamp', timestamp, 'delay', '0', 'priority', '0')
        if made ~= 6 then
            if type(made) == 'table' then
                problem = made
                break
            end
            old[job] = true
        end
        ids[i - first + 1] = job
        if events then
            local told
            if cap then -- once a batch
                told = try('XADD', events, 'MAXLEN', '~', cap, '*', 'event', 'added', 'jobId',
                    job, 'name', name)
                cap = nil
            else
                told = try('XADD', events, '*', 'event', 'added', 'jobId', job, 'name', name)
            end
            if told.err then
                problem = told
                break
            end
        end
    end
    -- Events of one kind together: the stream stores the names of their fields once.
    for i = 1, events and not problem and count or 0 do
        local told = try('XADD', events, '*', 'event', 'waiting', 'jobId', ids[i])
        if told.err then
            problem = told
            break
        end
    end
    if not problem then
        local pushed = try('LPUSH', list, unpack(ids))
        if type(pushed) == 'number' then
            return ids[count]
        end
        problem = pushed
    end
end
try('DECRBY', id, count)
local made = {}
for _, job in ipairs(ids) do
    made[job] = true
    if not old[job] then
        try('DEL', base .. job)
    end
end
for _, event in ipairs(events and try('XREVRANGE', events, '+', '-', 'COUNT', 2 * count) or {}) do
    if made[event[2][4]] then
        try('XDEL', events, event[1])
    end
end
return problem
