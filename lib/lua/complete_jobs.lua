-- The common case of end_jobs, at half its cost: every run completed, was the job's first, has
-- no deduplication id, and all keep the same: everything ('') or nothing ('0'). Answers as
-- end_jobs does.
--@keys wait active prioritized pc delayed limiter marker meta events stalled completed metrics:completed
--@args base flags max_events now want token lock_ms name limit_max limit_ms popped metrics_points keep
--@rest job_id job_token value
--@include take leave_active parent_ends metrics is_job
--@include trim_events
local events_on = string.find(flags, 'e', 1, true)
local set = call('HMGET', meta, 'paused', 'concurrency', 'max', 'duration',
    'opts.maxLenEvents')

local ids, keys, locks, children = {}, {}, {}, {}
local n = 0
for i = first, #ARGV, 3 do
    local key = base .. ARGV[i]
    n = n + 1
    ids[n], keys[n], locks[n] = ARGV[i], key, key .. ':lock'
    children[2 * n - 1], children[2 * n] = key .. ':dependencies', key .. ':unsuccessful'
end

-- Who still owns its job, and has no children left?
local refused, refusal = {}, {}
local function refuse(i, code)
    refused[#refused + 1] = i
    refused[#refused + 1] = code
    refusal[i] = true
end

local held = call('MGET', unpack(locks))
local may_have_children = call('EXISTS', unpack(children)) > 0
for i = 1, n do
    if held[i] ~= ARGV[first + 3 * i - 2] then
        refuse(i, held[i] and -6 or call('EXISTS', keys[i]) == 1 and -2 or -1)
    elseif may_have_children and call('SCARD', children[2 * i - 1]) ~= 0 then
        refuse(i, -4)
    elseif may_have_children and call('ZCARD', children[2 * i]) ~= 0 then
        refuse(i, -9)
    end
end
local mine = ids
if #refused > 0 then
    mine = {}
    for i = 1, n do
        if not refusal[i] then
            mine[#mine + 1] = ids[i]
        end
    end
end

local gone = #mine > 0 and leave_active(active, mine) or {}
if events_on then
    trim_to(base, set[5], max_events)
end

local drop, left, finished = {}, {}, {}
for i = 1, n do
    local id, key, value = ids[i], keys[i], ARGV[first + 3 * i - 1]
    if not refusal[i] and not gone[id] then
        refuse(i, -3)
    elseif not refusal[i] then
        drop[#drop + 1] = locks[i]
        left[#left + 1] = id
        -- A parent can be given to a running job, so it is read now; the name shows that the
        -- job is still there.
        local f = try('HMGET', key, 'name', 'parentKey')
        local parent_key = f[2]
        if not f[1] and not is_job(key) then
            refuse(i, -1)
        else
            if parent_key then
                child_completed(flags, key, parent_key, call('HGET', key, 'parent'), value,
                    tonumber(now))
            end
            if keep == '0' then
                -- Its `:dependencies` and `:unsuccessful` are empty, as was seen above.
                local d = #drop
                drop[d + 1], drop[d + 2] = key, key .. ':logs'
                drop[d + 3], drop[d + 4] = key .. ':processed', key .. ':failed'
            else
                call('HSET', key, 'returnvalue', value, 'finishedOn', now, 'atm', '1')
                finished[#finished + 1] = now
                finished[#finished + 1] = id
            end
            if events_on then
                call('XADD', events, '*', 'event', 'completed', 'jobId', id, 'returnvalue',
                    value, 'prev', 'active')
            end
        end
    end
end
if #left > 0 then
    call('DEL', unpack(drop))
    call('SREM', stalled, unpack(left))
end
if #finished > 0 then
    call('ZADD', completed, unpack(finished))
end
if metrics_points ~= '0' and #left > 0 then
    count_finished(metrics_completed, #left, metrics_points, tonumber(now))
end
return { refused, take_or_drain({ base = base, wait = wait, active = active,
    prioritized = prioritized, pc = pc, delayed = delayed, limiter = limiter, marker = marker,
    events = events },
    { flags = flags, token = token, lock_ms = lock_ms, name = name, limit_max = limit_max,
        limit_ms = limit_ms, marker = popped },
    now, tonumber(want), set, #left, #left > 0 and events_on) }
