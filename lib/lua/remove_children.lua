-- One step on the way through the children of the job at `key`, to remove them: some hundred of
-- them, from `cursor` on in the `part` of its keys that names children (1 to 4). With `remove`
-- those that have no children are removed; without, the step only looks whether all may go: -6
-- when a worker has one of them or the job itself, -8 for a scheduler's current job. When no
-- part is left (5), `remove` is for the job itself.
--
-- Answers with the part and the cursor of the next step (its own, when there is more to do than
-- one step should), how many children it met, and the keys of those that have children. They go
-- first, by steps of their own. A job here does not come free with its last child: it goes too.
--@args flags max_events key part cursor remove
--@include queue_at remove_jobs scheduler_current split_key
local parts = { { 'SSCAN', ':dependencies', 1, 300 }, { 'HSCAN', ':processed', 2, 100 },
    { 'HSCAN', ':failed', 2, 100 }, { 'ZSCAN', ':unsuccessful', 2, 300 } }

local function refusal(job, base, id)
    return scheduler_current(base, id) and CURRENT_ITERATION or raw('EXISTS', job .. ':lock') == 1 and OTHER_LOCK
end

local function has_children(job)
    return raw('EXISTS', job .. ':dependencies', job .. ':processed', job .. ':failed',
        job .. ':unsuccessful') > 0
end

-- Removes jobs, as lists of ids by their queue's base. True when none is left.
local function remove_all(queues, parent_key)
    local work, all = { left = 400000 }, true
    for base, ids in pairs(queues) do
        local gone = work.left > 0 and
            remove_jobs(queue_at(base, flags), ids, work, max_events) or {}
        for _, id in ipairs(ids) do
            if gone[id] then
                try('SREM', parent_key .. ':dependencies', base .. id)
            else
                all = false
            end
        end
    end
    return all
end

local at = tonumber(part)
if remove ~= '1' and at == 1 and cursor == '0' or at > #parts then
    local base, id = split_key(key)
    local no = refusal(key, base, id)
    if no then
        return no
    elseif at > #parts then
        local parent_key = try('HGET', key, 'parentKey')
        remove_all({ [base] = { id } }, type(parent_key) == 'string' and parent_key or '')
        return { at + 1, '0', 0 }
    end
end
local page
repeat
    page = call(parts[at][1], key .. parts[at][2], cursor, 'COUNT', parts[at][4])
    if page[1] == '0' and #page[2] == 0 then
        at, cursor = at + 1, '0'
    end
until at > #parts or page[1] ~= '0' or #page[2] > 0
local answer, leaves = { at, cursor, 0 }, {}
if at > #parts then
    return answer
end
for i = 1, #page[2], parts[at][3] do
    local child = page[2][i]
    -- One that has another parent by now is not ours to remove.
    if try('HGET', child, 'parentKey') == key then
        local base, id = split_key(child)
        local no = refusal(child, base, id)
        answer[3] = answer[3] + 1
        if has_children(child) then
            answer[#answer + 1] = child
        elseif no then
            return no
        else
            leaves[base] = leaves[base] or {}
            table.insert(leaves[base], id)
        end
        if no and remove ~= '1' then
            return no
        end
    end
end
if remove ~= '1' or remove_all(leaves, key) then
    answer[1], answer[2] = page[1] == '0' and at + 1 or at, page[1]
end
return answer
