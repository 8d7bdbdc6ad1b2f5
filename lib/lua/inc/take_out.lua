--@include find_state queue_at mark
-- Takes a job out of the state it is in; returns the suffix of that key, or nil.
local function take_out(q, id)
    local state = find_state(q.base, id)
    if state == 'wait' or state == 'paused' or state == 'active' then
        call('LREM', q.base .. state, 1, id)
    elseif state then
        call('ZREM', q.base .. state, id)
    end
    if state == 'active' then
        call('SREM', q.base .. 'stalled', id)
        -- In a queue that was full, the freed slot is news to the workers.
        if call('EXISTS', q.base .. 'wait', q.prioritized) > 0 then
            mark_work(queue_at(q.base, q.flags))
        end
    end
    return state
end
