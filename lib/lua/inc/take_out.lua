--@include queue_at mark leave_list
-- Takes jobs out of the state that each is in. Answers state[id]: the suffix of that key, false
-- for a job that is in none, nil for one that was not looked for, see inc/leave_list.lua.
local function take_out(q, ids, work)
    local state, left = {}, ids
    for _, suffix in ipairs({ 'completed', 'failed', 'delayed', 'prioritized',
        'waiting-children' }) do
        local key, others, mine = q.base .. suffix, {}, {}
        local scores = #left > 0 and raw('ZMSCORE', key, unpack(left))
        for i, id in ipairs(left) do
            local some = scores[i] and mine or others
            some[#some + 1] = id
            state[id] = scores[i] and suffix
        end
        if #mine > 0 then
            call('ZREM', key, unpack(mine))
        end
        left = others
    end
    for _, suffix in ipairs({ 'active', 'wait', 'paused' }) do
        local found = #left > 0 and leave_list(q.base .. suffix, left, work)
        local others, mine = {}, {}
        for _, id in ipairs(left) do
            if found[id] then
                state[id] = suffix
                mine[#mine + 1] = id
            elseif found[id] == nil then
                state[id] = nil
            else
                others[#others + 1] = id
            end
        end
        if suffix == 'active' and #mine > 0 then
            call('SREM', q.base .. 'stalled', unpack(mine))
            -- In a queue that was full, the freed slot is news to the workers.
            if raw('EXISTS', q.base .. 'wait', q.prioritized) > 0 then
                mark_work(queue_at(q.base, q.flags))
            end
        end
        left = others
    end
    return state
end
