--@include emit push delay
-- Writes a job's hash. `extra`: more fields and values, or nil.
local function store(q, id, name, data, opts, timestamp, delay, priority, extra)
    call('HSET', q.base .. id, 'name', name, 'data', data, 'opts', opts, 'timestamp', timestamp,
        'delay', delay, 'priority', priority, unpack(extra or {}))
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
