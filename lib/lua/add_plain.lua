-- Adds jobs that differ in their data only: same name and options, no delay, priority, id,
-- parent or deduplication. Answers with the last id; the ids are consecutive.
--@keys id meta wait paused active marker events
--@args base flags max_events name opts timestamp
--@rest data
--@include event_cap whole
local settings = call('HMGET', meta, 'paused', 'concurrency', 'opts.maxLenEvents')
local count = #ARGV - first + 1
local last = call('INCRBY', id, count)
local before = last - count - first + 1
local events_on = string.find(flags, 'e', 1, true)
local cap = (events_on or not settings[3]) and event_cap(base, settings[3], max_events)
local ids = {}
for i = first, #ARGV do
    local job = string.format('%.0f', before + i)
    ids[i - first + 1] = job
    call('HSET', base .. job, 'name', name, 'data', ARGV[i], 'opts', opts, 'timestamp',
        timestamp, 'delay', '0', 'priority', '0')
    if events_on then
        if cap then -- once a batch
            call('XADD', events, 'MAXLEN', '~', cap, '*', 'event', 'added', 'jobId', job,
                'name', name)
            cap = nil
        else
            call('XADD', events, '*', 'event', 'added', 'jobId', job, 'name', name)
        end
        call('XADD', events, '*', 'event', 'waiting', 'jobId', job)
    end
end
local blocked, most = settings[1], whole(settings[2])
local list = wait
if blocked and string.find(flags, 'l', 1, true) then
    list = paused
end
call('LPUSH', list, unpack(ids))
if most and not blocked then
    blocked = call('LLEN', active) >= most
end
if not blocked then
    call('ZADD', marker, '0', '0')
end
return string.format('%.0f', last)
