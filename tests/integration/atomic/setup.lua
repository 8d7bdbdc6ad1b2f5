-- A server full of jobs in every state, and families and holders of ids across two queues.
local q, r = 't:q:', 't:r:'
local function run(...)
    return redis.call(...)
end
local function job(base, id, ...)
    run('HSET', base .. id, 'name', 'n', 'data', '{}', 'opts', '{}', 'timestamp', '1', 'delay',
        '0', 'priority', '0', ...)
end
local function family(base, parent, child_base, child)
    local text = '{"id":"' .. parent .. '","queueKey":"' .. string.sub(base, 1, -2) ..
        '","fpof":true}'
    run('HSET', child_base .. child, 'parentKey', base .. parent, 'parent', text)
    run('SADD', base .. parent .. ':dependencies', child_base .. child)
end
run('HSET', q .. 'meta', 'opts.maxLenEvents', '10000')
run('HSET', r .. 'meta', 'opts.maxLenEvents', '10000')
run('SET', q .. 'id', '100')
run('SET', q .. 'pc', '7')
for _, id in ipairs({ 'w1', 'w2', 'w3', 'w4', 'w5', 'w6' }) do
    job(q, id)
    run('LPUSH', q .. 'wait', id)
end
for _, id in ipairs({ 'z1', 'z2' }) do
    job(q, id)
    run('LPUSH', q .. 'paused', id)
end
for i = 1, 14 do
    local id = 'a' .. i
    job(q, id, 'ats', '1', 'processedOn', '2')
    run('LPUSH', q .. 'active', id)
    if i < 12 then
        run('SET', q .. id .. ':lock', 'T', 'PX', '900000')
    end
end
run('SADD', q .. 'stalled', 'a1', 'a12', 'a13')
run('RPUSH', q .. 'a5:logs', 'one', 'two', 'three')
for i, id in ipairs({ 'pr1', 'pr2' }) do
    job(q, id)
    run('HSET', q .. id, 'priority', '3')
    run('ZADD', q .. 'prioritized', 3 * 4294967296 + i, id)
end
for id, score in pairs({ due1 = '4096', due2 = '8192', late1 = '36864000000000000',
    late2 = '36864000000004096' }) do
    job(q, id)
    run('HSET', q .. id, 'delay', '5')
    run('ZADD', q .. 'delayed', score, id)
end
for _, state in ipairs({ 'completed', 'failed' }) do
    for i = 1, 3 do
        local id = string.sub(state, 1, 1) .. i
        job(q, id, 'finishedOn', '5', 'atm', '1', 'ats', '1',
            state == 'failed' and 'failedReason' or 'returnvalue', '"x"')
        run('ZADD', q .. state, i, id)
    end
end
-- p1 waits for running jobs, p2 (of another queue) too, p3 for nobody, p4 for jobs that wait.
for parent, base in pairs({ p1 = q, p2 = r, p3 = q, p4 = q, p5 = r }) do
    job(base, parent)
    run('ZADD', base .. 'waiting-children', '1', parent)
end
family(q, 'p1', q, 'a3')
family(q, 'p1', q, 'w2')
family(r, 'p2', q, 'a6')
family(r, 'p5', q, 'w5')
for _, id in ipairs({ 'k1', 'k2' }) do
    job(r, id)
    run('LPUSH', r .. 'wait', id)
    family(q, 'p4', r, id)
end
family(q, 'a10', r, 'k3')
job(r, 'k3')
run('LPUSH', r .. 'wait', 'k3')
-- f1 has failed as a child of p1.
run('HSET', q .. 'f1', 'parentKey', q .. 'p1', 'parent', '{}')
run('HSET', q .. 'p1:failed', q .. 'f1', 'x')
-- Deduplication: a4 runs and another is stored to follow it; w3 waits; late1 is delayed.
for did, id in pairs({ d1 = 'a4', d2 = 'w3', d3 = 'late1', d4 = 'a7' }) do
    run('SET', q .. 'de:' .. did, id)
    run('HSET', q .. id, 'deid', did)
end
run('HSET', q .. 'dn:d1', 'name', 'n', 'data', '{}', 'opts', '{}', 'jid', 'follower')
-- Schedulers: the job of s1 is delayed, the one of s2 runs.
for name, time in pairs({ s1 = '9000000000000', s2 = '1600000000000' }) do
    local id = 'repeat:' .. name .. ':' .. time
    run('ZADD', q .. 'repeat', time, name)
    run('HSET', q .. 'repeat:' .. name, 'name', 'n', 'every', '60000', 'offset', '0', 'ic', '1')
    job(q, id, 'rjk', name)
    if name == 's1' then
        run('ZADD', q .. 'delayed', time .. '000', id)
    else
        run('LPUSH', q .. 'active', id)
        run('SET', q .. id .. ':lock', 'T', 'PX', '900000')
    end
end
run('XADD', q .. 'events', '*', 'event', 'old', 'jobId', 'c1')
run('XADD', r .. 'events', '*', 'event', 'old', 'jobId', 'k1')
