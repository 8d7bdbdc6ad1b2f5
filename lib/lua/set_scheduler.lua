-- Makes or changes a job scheduler and its next job. A next job that still waits is replaced,
-- wherever it waits (while the queue is paused, too); one that runs or has ended stays.
--
-- An interval that is new or changed starts anew: at `start_ms`, at the next multiple plus
-- `offset`, or now. Else the next job keeps its time. For cron, its next times follow.
-- Arguments that are not set are empty; `opts` lacks its end, see iterate.
-- Answers with the next job's id, 0 when its time would be after `end_ms`, or a refusal; then
-- nothing has changed.
--@keys repeat delayed prioritized wait paused
--@args base flags max_events now scheduler name data template_opts tz limit pattern start_ms end_ms every offset opts priority lifo
--@rest fires
--@include queue_at iterate job_keys trim_events
local template = repeat_ .. ':' .. scheduler
local current = raw('ZSCORE', repeat_, scheduler)
local old = raw('HMGET', template, 'every', 'offset', 'ic')
local now_ms, start, interval = tonumber(now), tonumber(start_ms), tonumber(every)
local phase = tonumber(offset)

-- Where the current job waits, and the command that takes it out.
local function find_waiting(id)
    for _, set in ipairs({ delayed, prioritized }) do
        if raw('ZSCORE', set, id) then
            return set, 'ZREM'
        end
    end
    for _, list in ipairs({ wait, paused }) do
        if raw('LPOS', list, id) then
            return list, 'LREM'
        end
    end
end

local function first_time()
    if start then
        return math.max(start, now_ms)
    elseif not phase then
        return now_ms
    end
    local time = math.floor(now_ms / interval) * interval + phase
    return time > now_ms and time or time + interval
end

local id = current and 'repeat:' .. scheduler .. ':' .. current
local holder, take_out
if id then
    holder, take_out = find_waiting(id)
end

local time
if interval then
    local known = tonumber(old[2])
    if not current or tonumber(old[1]) ~= interval or (phase and phase ~= known) then
        time = first_time()
    elseif holder then
        time = tonumber(current)
    else
        time = time_after(tonumber(current), interval, known or 0, now_ms)
    end
    time = math.max(time, start or 0)
end
local refusal
time, refusal = free_time(base, scheduler, time, interval, { unpack(ARGV, first) },
    holder and id)
if not time then
    return refusal
end
if end_ms ~= '' and time > tonumber(end_ms) then
    return 0
end

if holder then
    local keys = {}
    job_keys(base .. id, keys)
    if take_out == 'ZREM' then
        call('ZREM', holder, id)
    else
        call('LREM', holder, 1, id)
    end
    call('DEL', unpack(keys))
end
if interval and not phase then
    offset = string.format('%.0f', time % interval)
end
local fields = { 'name', name }
for _, pair in ipairs({ { 'tz', tz }, { 'limit', limit }, { 'pattern', pattern },
    { 'startDate', start_ms }, { 'endDate', end_ms }, { 'every', every }, { 'offset', offset },
    { 'opts', template_opts }, { 'data', data }, { 'ic', old[3] or '1' } }) do
    if pair[2] ~= '' then
        fields[#fields + 1] = pair[1]
        fields[#fields + 1] = pair[2]
    end
end
call('DEL', template)
call('HSET', template, unpack(fields))
id = iterate(queue_at(base, flags), repeat_, scheduler, time, { name = name,
    data = data ~= '' and data or '{}', opts = opts, priority = tonumber(priority),
    lifo = lifo == '1', cron = not interval }, now_ms)
trim_events(base, max_events)
return id
