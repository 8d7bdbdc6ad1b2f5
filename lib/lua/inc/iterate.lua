--@include create
-- What the scripts of job schedulers share (section 5.9 of the layout). Times are numbers.

-- The time after `last` of a scheduler that runs every so often; missed times are passed over.
local function time_after(last, every, offset, now)
    local time = last + every
    if time < now then
        time = math.floor(now / every) * every + offset
        if time <= now then
            time = time + every
        end
    end
    return math.floor(time)
end

local function iteration_id(scheduler, time)
    return 'repeat:' .. scheduler .. ':' .. string.format('%.0f', time)
end

-- The first time whose id no job has, but for the id `mine`, which is about to be free; or a
-- refusal. Times go on from `time` by `every`, or are those of the list `fires`.
local function free_time(base, scheduler, time, every, fires, mine)
    local tries = every and 1000 or #fires
    for i = 1, tries do
        time = every and (i == 1 and time or time + every) or tonumber(fires[i])
        local id = iteration_id(scheduler, time)
        if id == mine or raw('EXISTS', base .. id) == 0 then
            return time
        end
    end
    return nil, every and TIMES_TAKEN or TIME_TAKEN
end

-- Makes the job for `time` and notes it as the scheduler's current one. `job`: name, data,
-- priority, lifo, cron, and opts without their end, which only now is known.
local function iterate(q, schedulers, scheduler, time, job, now)
    local id = iteration_id(scheduler, time)
    local text = string.format('%.0f', time)
    local delay = math.max(time - now, 0)
    local delay_text = string.format('%.0f', delay)
    local last = job.cron and ',"prevMillis":' .. text or ''
    local opts = job.opts .. text .. '","delay":' .. delay_text .. last .. '}'
    call('INCR', q.base .. 'id')
    call('ZADD', schedulers, text, scheduler)
    store(q, id, job.name, job.data, opts, string.format('%.0f', now), delay_text,
        string.format('%.0f', job.priority), { 'rjk', scheduler })
    place(q, id, now, delay, job.priority, job.lifo)
    return id
end
