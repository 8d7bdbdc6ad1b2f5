--@include mark
-- Lets a job wait for its turn: by priority, or in the list. `front`: before its equals.
local function push(q, id, priority, front)
    if priority > 0 then
        local turn = 0
        if not front then
            turn = call('INCR', q.pc) % 4294967296
        end
        call('ZADD', q.prioritized, priority * 4294967296 + turn, id)
    elseif front then
        call('RPUSH', q.list, id)
    else
        call('LPUSH', q.list, id)
    end
    mark_work(q)
end

-- The same for many that have no priority, in the order in which they came.
local function push_all(q, ids)
    for from = 1, #ids, 4000 do
        call('LPUSH', q.list, unpack(ids, from, math.min(from + 3999, #ids)))
    end
    mark_work(q)
end
