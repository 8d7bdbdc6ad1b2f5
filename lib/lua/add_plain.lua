-- Adds jobs that differ in their data only: same name and options, no delay, priority, id,
-- parent or deduplication. Answers with the last id; the ids are consecutive.
--@keys id meta wait paused active marker events
--@args base flags max_events name opts timestamp
--@rest data
local settings = call('HMGET', meta, 'paused', 'concurrency', 'opts.maxLenEvents')
local count = #ARGV - first + 1
local last = call('INCRBY', id, count)
local before = last - count - first + 1
local events_on = string.find(flags, 'e', 1, true)
local ids = {}
for i = first, #ARGV do
    local job = string.format('%.0f', before + i)
    ids[i - first + 1] = job
    call('HSET', base .. job, 'name', name, 'data', ARGV[i], 'opts', opts, 'timestamp',
        timestamp, 'delay', '0', 'priority', '0')
    if events_on then
        call('XADD', events, '*', 'event', 'added', 'jobId', job, 'name', name)
        call('XADD', events, '*', 'event', 'waiting', 'jobId', job)
    end
end
local blocked = settings[1]
local list = wait
if blocked and string.find(flags, 'l', 1, true) then
    list = paused
end
local push = 'LPUSH'
if string.find(flags, 'i', 1, true) then
    push = 'RPUSH'
end
call(push, list, unpack(ids))
if not blocked and settings[2] then
    blocked = call('LLEN', active) >= tonumber(settings[2])
end
if not blocked then
    call('ZADD', marker, 0, '0')
end
if not settings[3] then
    call('HSET', meta, 'opts.maxLenEvents', max_events)
end
if events_on then
    call('XTRIM', events, 'MAXLEN', '~', settings[3] or max_events)
end
return string.format('%.0f', last)
