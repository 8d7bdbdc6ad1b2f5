-- Removes jobs. Their children stay; see remove_children. Answers for each id: 1, 0 when there is
-- none, a refusal, or REMOVED_NOT_YET: a call does no more than it should, but something always.
-- Those that have a parent go one by one, since each may let it run.
--@args base flags max_events now
--@rest id
--@include queue_at remove_jobs scheduler_current parent_ends
local q, work = queue_at(base, flags), { left = 400000 }
local answer, alone, at = {}, {}, {}
for i = first, #ARGV do
    local id, n = ARGV[i], i - first + 1
    local parent_key = raw('HGET', base .. id, 'parentKey')
    if at[id] then
        answer[n] = 0
    elseif scheduler_current(base, id) then
        answer[n] = CURRENT_ITERATION
    elseif raw('EXISTS', base .. id .. ':lock') == 1 then
        answer[n] = OTHER_LOCK
    elseif not parent_key then
        answer[n] = REMOVED_NOT_YET
        alone[#alone + 1] = id
    elseif work.left > 0 then
        child_removed(flags, base .. id, parent_key, tonumber(now))
        answer[n] = remove_jobs(q, { id }, work, max_events)[id]
    else
        answer[n] = REMOVED_NOT_YET
    end
    at[id] = at[id] or n
end
if #alone > 0 and work.left > 0 then
    for id, gone in pairs(remove_jobs(q, alone, work, max_events)) do
        answer[at[id]] = gone
    end
end
return answer
