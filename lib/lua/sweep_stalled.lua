-- Gives back jobs whose worker has gone: those that were active at the last check and have no
-- lock now. Notes what else is active, for the next check.
--
-- A check goes through `active` in steps, from the tail, where the oldest are: each looks at
-- what stands before the last `skip`. The first (-1: none) begins one only when none was begun
-- for `every_ms`. Answers with the `skip` of the next step, -1 when there is none, and the ids
-- given back, behind each 1 if that was once too often, else 0.
--@keys stalled stalled-check active meta
--@args base flags max_events now every_ms max_stalled skip
--@include queue_at emit trim_events mark is_job drop_at must_be_allowed
local begins = skip == '-1'
skip = begins and 0 or tonumber(skip)
if begins then
    if call('SET', stalled_check, now, 'NX', 'PX', every_ms) == false then
        return { -1 }
    end
    if call('EXISTS', meta) == 1 then -- else the queue is gone, and must not come back
        trim_events(base, max_events)
    end
end
local ids = call('LRANGE', active, -skip - 2000, -skip - 1)
if #ids == 0 then
    if begins then
        raw('DEL', stalled)
    end
    return { -1 }
end

-- Which of `ids` have no lock though they were noted, from the tail on, 500 of them at most;
-- `from` is the first index that was looked at.
local dead, from = {}, 1
local noted = call('SMISMEMBER', stalled, unpack(ids))
local locks = {}
for i = 1, #ids do
    locks[i] = base .. ids[i] .. ':lock'
end
local held = call('MGET', unpack(locks))
for i = #ids, 1, -1 do
    if noted[i] == 1 and not held[i] then
        if #dead == 500 then
            from = i + 1
            break
        end
        dead[#dead + 1] = i
    end
end

-- Whether a job that has stalled so often may have attempts left. (In the text of its options,
-- which may be more than a strict reader takes, a quote within a string has a backslash.)
local function has_attempts(key, times)
    local f = call('HMGET', key, 'opts', 'atm')
    local attempts = f[1] and string.match(f[1], '[{,]"attempts":(%d+)')
    return attempts and tonumber(attempts) > times + (tonumber(f[2]) or 0)
end

-- Lets a job wait again; an id whose job is gone is dropped with that.
local q = queue_at(base, flags)
local max = tonumber(max_stalled)
local function give_back(id)
    local key = base .. id
    if not is_job(key) then
        return false
    end
    local times = (tonumber(call('HGET', key, 'stc')) or 0) + 1
    call('HSET', key, 'stc', string.format('%.0f', times))
    -- A stall spends an attempt as well, so a job that has some left runs again. (Also a
    -- scheduler's job fails: whoever takes it makes the next one before.)
    local over = max >= 0 and times > max and not has_attempts(key, times)
    if over then
        call('HSET', key, 'defa', 'job stalled more than allowable limit')
    end
    call('RPUSH', q.list, id)
    emit(q, 'waiting', 'jobId', id, 'prev', 'active')
    emit(q, 'stalled', 'jobId', id)
    return true, over
end

local answer, indexes, gone = { -1 }, {}, {}
for i = 1, #dead do
    indexes[i] = dead[i] - #ids - 1 - skip
    gone[i] = ids[dead[i]]
end
drop_at(active, indexes, -1, gone)
for i = #gone, 1, -1 do -- the oldest last: it is taken first
    local there, over = give_back(gone[i])
    if there then
        answer[#answer + 1] = gone[i]
        answer[#answer + 1] = over and 1 or 0
    end
end
if #answer > 1 then
    q = queue_at(base, flags)
    mark_work(q)
end

-- What is active now is noted. When this was all of it, nothing else is.
local stay, d = {}, 1
for i = #ids, from, -1 do
    if i == dead[d] then
        d = d + 1
    else
        stay[#stay + 1] = ids[i]
    end
end
must_be_allowed('SADD', stalled)
if #gone > 0 then -- the next check finds them again if this one fails from here on
    undo[#undo + 1] = { 'SADD', stalled, unpack(gone) }
end
local more = from > 1 or #ids == 2000 and call('LLEN', active) > skip + #stay
if begins and not more then
    raw('DEL', stalled)
elseif #gone > 0 then
    raw('SREM', stalled, unpack(gone))
end
if #stay > 0 then
    raw('SADD', stalled, unpack(stay))
end
answer[1] = more and skip + #stay or -1
return answer
