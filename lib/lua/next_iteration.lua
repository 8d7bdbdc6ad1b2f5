-- Makes the job that comes after `producer`, which a worker has just taken from a scheduler.
-- Does nothing when the scheduler is gone, or when that job is not its current one (the job is
-- a retry, or the scheduler was set anew). A time whose id is taken does not stop the schedule:
-- it goes on with the next that is free.
--
-- `every` is empty for cron; then its next times follow. `opts` lacks its end, see iterate.
-- Answers with the new job's id, 0, or a refusal.
--@keys repeat
--@args base flags max_events now scheduler producer every offset end_ms opts priority lifo
--@rest fires
--@include queue_at iterate trim_events
local current = raw('ZSCORE', repeat_, scheduler)
if not current or producer ~= 'repeat:' .. scheduler .. ':' .. current then
    return 0
end
local template = raw('HMGET', repeat_ .. ':' .. scheduler, 'name', 'data', 'every', 'offset')
if not template[1] then
    return 0
end
local interval = tonumber(template[3]) or tonumber(every)
local time
if interval then
    time = time_after(tonumber(current), interval,
        tonumber(template[4]) or tonumber(offset) or 0, tonumber(now))
end
local refusal
time, refusal = free_time(base, scheduler, time, interval, { unpack(ARGV, first) })
if not time then
    return refusal
end
if end_ms ~= '' and time > tonumber(end_ms) then
    return 0
end
call('HINCRBY', repeat_ .. ':' .. scheduler, 'ic', 1)
local id = iterate(queue_at(base, flags), repeat_, scheduler, time, { name = template[1],
    data = template[2] or '{}', opts = opts, priority = tonumber(priority),
    lifo = lifo == '1', cron = not interval }, tonumber(now))
trim_events(base, max_events)
return id
