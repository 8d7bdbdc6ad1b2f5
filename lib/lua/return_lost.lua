-- Lets jobs wait again that were taken for a worker who never learned of it: their locks bear the
-- tokens of its takes whose replies were lost. No stall is counted, and no start.
--
-- Looks at a thousand active jobs, from the oldest on, but for the last `skip`. `count` tokens
-- come first, then the ids of jobs that the worker has under them all the same. Answers with the
-- `skip` of the next step, or LAST_STEP, and the ids that wait again.
--@keys active stalled
--@args base flags skip count
--@rest token_or_id
--@include queue_at give_back is_job drop_at
local ids = raw('LRANGE', active, -skip - 1000, -skip - 1)
local lost, known, answer = {}, {}, { LAST_STEP }
for i = first, #ARGV do
    if i < first + count then
        lost[ARGV[i]] = true
    else
        known[ARGV[i]] = true
    end
end
if #ids == 0 then
    return answer
end
local locks = {}
for i = 1, #ids do
    locks[i] = base .. ids[i] .. ':lock'
end
local held = raw('MGET', unpack(locks))
local indexes, back, gone = {}, {}, {}
for i = #ids, 1, -1 do
    if lost[held[i]] and not known[ids[i]] then
        indexes[#indexes + 1] = i - #ids - 1 - skip
        back[#back + 1] = i
        gone[#back] = ids[i]
    end
end
drop_at(active, indexes, -1, gone)
local q = queue_at(base, flags)
for b = #back, 1, -1 do -- the oldest last: it is taken first
    local id = ids[back[b]]
    local key = base .. id
    call('DEL', locks[back[b]])
    call('SREM', stalled, id)
    if is_job(key) then
        give_back(q, { kind = END_RELEASED, key = key, id = id, unbegun = true }, '0')
        answer[#answer + 1] = id
    end
end
answer[1] = #ids == 1000 and skip + 1000 - #back or LAST_STEP
return answer
