-- Removes jobs of `state` that are not younger than `before`, looking at `limit` ids behind the
-- first `skip`, the oldest first. Schedulers' current jobs and running ones stay. Answers with
-- how many were looked at, and the ids that were removed.
--@keys wait prioritized stalled
--@args base flags now state before skip limit
--@include queue_at emit mark scheduler_current delete_jobs drop_at
local key = base .. state
local finished = state == 'completed' or state == 'failed'
local list = state == 'wait' or state == 'paused' or state == 'active'

-- The first of these times that a job has is its age.
local times = { 'finishedOn', 'processedOn', 'timestamp' }
if state == 'delayed' then
    times = { 'processedOn', 'timestamp' }
elseif state == 'prioritized' then
    times = { 'timestamp' }
end

local function is_old(id)
    for _, text in ipairs(try('HMGET', base .. id, unpack(times))) do
        if text and tonumber(text) then
            return tonumber(text) <= tonumber(before)
        end
    end
    return true
end

local function may_go(id)
    return finished or (not scheduler_current(base, id) and is_old(id) and
        (state ~= 'active' or raw('EXISTS', base .. id .. ':lock') == 0))
end

local window
if finished then
    window = raw('ZRANGEBYSCORE', key, '-inf', before, 'LIMIT', skip, limit)
elseif list then
    window = raw('LRANGE', key, -skip - limit, -skip - 1)
else
    window = raw('ZRANGE', key, skip, skip + limit - 1)
end
local ids, indexes = {}, {}
for i = 1, #window do
    local id = window[list and #window + 1 - i or i]
    if may_go(id) then
        ids[#ids + 1] = id
        indexes[#ids] = -skip - i
    end
end
if list then
    drop_at(key, indexes, -1, ids)
elseif #ids > 0 then
    call('ZREM', key, unpack(ids))
end
delete_jobs(base, flags, ids, tonumber(now))
local q = queue_at(base, flags)
if state == 'active' and #ids > 0 then
    call('SREM', stalled, unpack(ids))
    if raw('EXISTS', wait, prioritized) > 0 then
        mark_work(q)
    end
end
if state ~= 'paused' or #window > 0 then
    emit(q, 'cleaned', 'count', #ids)
end
return { #window, ids }
