-- Gives back jobs whose worker has gone: those that were active at the last check and have no
-- lock now. Notes what else is active, for the next check.
--
-- A check goes through `active` in steps, from the tail, where the oldest are: each looks at
-- what stands before the last `skip`. The first (CHECK_BEGIN) begins one only when none was begun
-- for `every_ms`, and looks at nothing: what the others sent while the server was away is read
-- before the next step, which is sent when the answer to this one is there. A step that comes
-- more than `late_ms` behind the one before it ends the check: the server was away again, and
-- maybe only for that have locks run out. Answers with the `skip` of the next step, LAST_STEP, or
-- CHECK_NONE; and the ids given back, behind each what was found, as FOUND_STALLED.
--@keys stalled stalled-check active meta
--@args base flags max_events now every_ms late_ms max_stalled skip
--@include queue_at trim_events mark is_job drop_at must_be_allowed stall orphans
skip = tonumber(skip)
if skip == CHECK_BEGIN then
    if call('EXISTS', meta, active, stalled) == 0 then -- there is no such queue (any more)
        return { CHECK_NONE }
    end
    if call('SET', stalled_check, now, 'NX', 'PX', every_ms) == false then
        -- It lasts longer than it was set for where the server's clock was set back.
        if raw('PTTL', stalled_check) > tonumber(every_ms) then
            try('PEXPIRE', stalled_check, every_ms)
        end
        return { CHECK_NONE }
    end
    if raw('EXISTS', meta) == 1 then -- else the queue is gone, and must not come back
        trim_events(base, max_events)
    end
    return { call('EXISTS', active, stalled) == 0 and LAST_STEP or 0 }
end
local begins = skip == 0
local left = call('PTTL', stalled_check)
if left < 0 or every_ms - left > tonumber(late_ms) then
    return { CHECK_NONE }
end
if not begins then -- this step is what the next one follows
    call('SET', stalled_check, now, 'PX', every_ms)
end
local ids = raw('LRANGE', active, -skip - 2000, -skip - 1)
local answer, max = { LAST_STEP }, tonumber(max_stalled)

-- A job that was noted and is not active any more has mostly left this set with its end. Where it
-- is in no state at all, something went wrong.
local function restore_noted()
    local active_now, others = {}, {}
    for _, id in ipairs(ids) do
        active_now[id] = true
    end
    for _, id in ipairs(call('SRANDMEMBER', stalled, '1000')) do
        if not active_now[id] then
            others[#others + 1] = id
        end
    end
    if #others > 0 then
        restore_orphans(queue_at(base, flags), others, max, tonumber(now), answer)
        for i = #answer, 3, -2 do -- what could not be done is told by restore_jobs
            if answer[i] ~= FOUND_RESTORED and answer[i] ~= FOUND_TOO_OFTEN then
                table.remove(answer, i)
                table.remove(answer, i - 1)
            end
        end
    end
end
if begins and #ids < 2000 and raw('EXISTS', meta) == 1 then
    restore_noted()
end
if #ids == 0 then
    if begins then
        raw('DEL', stalled)
    end
    return answer
end

-- Which of `ids` have no lock though they were noted, from the tail on, 500 of them at most;
-- `from` is the first index that was looked at.
local dead, from = {}, 1
local noted = raw('SMISMEMBER', stalled, unpack(ids))
local locks = {}
for i = 1, #ids do
    locks[i] = base .. ids[i] .. ':lock'
end
local held = raw('MGET', unpack(locks))
for i = #ids, 1, -1 do
    if noted[i] == 1 and not held[i] then
        if #dead == 500 then
            from = i + 1
            break
        end
        dead[#dead + 1] = i
    end
end

local indexes, gone = {}, {}
for i = 1, #dead do
    indexes[i] = dead[i] - #ids - 1 - skip
    gone[i] = ids[dead[i]]
end
drop_at(active, indexes, -1, gone)
local q, moved = queue_at(base, flags), false
for i = #gone, 1, -1 do -- the oldest last: it is taken first
    if is_job(base .. gone[i]) then -- else it is dropped with that
        moved = true
        answer[#answer + 1] = gone[i]
        answer[#answer + 1] = stall(q, gone[i], max) and FOUND_TOO_OFTEN or FOUND_STALLED
    end
end
if moved then
    mark_work(queue_at(base, flags))
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
local more = from > 1 or #ids == 2000 and raw('LLEN', active) > skip + #stay
if begins and not more then
    raw('DEL', stalled)
elseif #gone > 0 then
    raw('SREM', stalled, unpack(gone))
end
if #stay > 0 then
    raw('SADD', stalled, unpack(stay))
end
answer[1] = more and skip + #stay or LAST_STEP
return answer
