--@include emit push delay
--@include must_be_allowed
-- Writes a job's hash. `extra`: more fields and values, or nil.
local function store(q, id, name, data, opts, timestamp, delay, priority, extra)
    local key = q.base .. id
    must_be_allowed('DEL', key)
    if raw('HSET', key, 'name', name, 'data', data, 'opts', opts, 'timestamp', timestamp,
        'delay', delay, 'priority', priority, unpack(extra or {})) >= 6 then
        undo[#undo + 1] = { 'DEL', key } -- it is new
    end
    emit(q, 'added', 'jobId', id, 'name', name)
end

-- Puts a new job where its options say. Numbers come as numbers.
local function place(q, id, timestamp, delay, priority, lifo)
    if delay > 0 then
        delay_until(q, id, timestamp + delay)
    else
        push(q, id, priority, lifo and priority == 0)
        emit(q, 'waiting', 'jobId', id)
    end
end
