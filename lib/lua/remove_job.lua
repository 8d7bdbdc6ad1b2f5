-- Removes a job: 1, or 0 when there is none. Its children stay; see remove_children.
--@args base flags max_events now id
--@include queue_at remove_jobs scheduler_current parent_ends
if scheduler_current(base, id) then
    return -8
elseif raw('EXISTS', base .. id .. ':lock') == 1 then
    return -6
end
local parent_key = raw('HGET', base .. id, 'parentKey')
if parent_key then
    child_removed(flags, base .. id, parent_key, tonumber(now))
end
return remove_jobs(queue_at(base, flags), { id }, { left = 0 }, max_events)[id]
