-- Adds jobs that differ in their data only: same name and options, no delay, priority, id,
-- parent or deduplication. Answers with the last id; the ids are consecutive.
--
-- The data of one large job may stand `apart`, in the field `data` of a hash under that suffix,
-- so that it is not copied through Lua: it becomes the job's hash. See queue/add_large.h.
--@plain
--@keys id meta wait paused active marker events
--@args base flags max_events name opts apart timestamp
--@rest data
--@include event_cap whole
--@rare store_apart
local settings = raw('HMGET', meta, 'paused', 'concurrency', 'opts.maxLenEvents')
local blocked, most = settings[1], whole(settings[2])
local list = wait
if blocked and string.find(flags, FLAG_LEGACY_PAUSE, 1, true) then
    list = paused
end
if most and not blocked then
    blocked = raw('LLEN', active) >= most
end
if may and not may('DEL', list) then
    return { err = 'NOPERM the user may not do DEL, which would be needed to take back a change' }
end
local events_on = string.find(flags, FLAG_EVENTS, 1, true)
local cap = (events_on or not settings[3]) and event_cap(base, settings[3], max_events)
if not blocked then
    raw('ZADD', marker, '0', '0')
end
local count = #ARGV - first + 1
local last = raw('INCRBY', id, count)
local before = last - count - first + 1
-- What fails stays in `problem`: this script has no main() that would be taken back.
local ids, old, problem = {}, {}, nil
for i = first, #ARGV do
    local job = string.format('%d', before + i) -- cheaper than %.0f, and exact
    local new
    if apart == '' then
        new = try('HSET', base .. job, 'name', name, 'data', ARGV[i], 'opts', opts,
            'timestamp', timestamp, 'delay', '0', 'priority', '0')
    else
        new = store_apart(base, apart, job, name, opts, timestamp)
    end
    if new ~= 6 and type(new) == 'table' then
        problem = new
        break
    end
    ids[i - first + 1] = job
    if new ~= 6 then
        old[job] = true
    end
    if events_on then
        local told
        if cap then -- once a batch
            told = try('XADD', events, 'MAXLEN', '~', cap, '*', 'event', 'added', 'jobId', job,
                'name', name)
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
for i = 1, events_on and not problem and count or 0 do
    local told = try('XADD', events, '*', 'event', 'waiting', 'jobId', ids[i])
    if told.err then
        problem = told
        break
    end
end
if not problem then
    local pushed = try('LPUSH', list, unpack(ids))
    if type(pushed) == 'number' then
        return string.format('%.0f', last)
    end
    problem = pushed
end
try('DECRBY', id, count)
local made = {}
for _, job in ipairs(ids) do
    made[job] = true
    if not old[job] then
        try('DEL', base .. job)
    end
end
for _, event in ipairs(try('XREVRANGE', events, '+', '-', 'COUNT', 2 * count)) do
    if made[event[2][4]] then
        try('XDEL', events, event[1])
    end
end
return problem
