--@include emit delay
-- Deduplication at add (section 5.3 of the layout). `de` is {id, ttl, modes}; modes: 'x'
-- extend, 'r' replace, 's' reschedule, 'k' keep the last one while the job is active.
local function dedup_has(de, mode)
    return string.find(de.modes, mode, 1, true) ~= nil
end

local function dedup_hold(q, de, owner)
    local key = q.base .. 'de:' .. de.id
    if de.ttl > 0 and not dedup_has(de, DEDUP_KEEP_LAST) then
        call('SET', key, owner, 'PX', de.ttl)
    else
        call('SET', key, owner)
    end
end

-- Whether a job is active. The list is walked for the first few that are asked for, then read
-- once for all that follow in the same call.
local function is_active(q, id)
    local active = q.base .. 'active'
    q.asked = (q.asked or 0) + 1
    if q.asked <= 8 then
        return raw('LPOS', active, id)
    elseif not q.running then
        q.running = {}
        for _, other in ipairs(raw('LRANGE', active, 0, -1)) do
            q.running[other] = true
        end
    end
    return q.running[id]
end

-- While the owner runs, the newest add is stored, to be made a job when the owner ends.
local function dedup_store_next(q, de, owner, job)
    if not dedup_has(de, DEDUP_KEEP_LAST) or not is_active(q, owner) then
        return false
    end
    local next_key = q.base .. 'dn:' .. de.id
    local fields = { 'name', job.name, 'data', job.data, 'opts', job.opts, 'jid', job.id }
    for _, pair in ipairs({ { 'pk', job.parent_key }, { 'pd', job.parent },
        { 'pdk', job.parent_key and job.parent_key .. ':dependencies' } }) do
        if pair[2] then
            fields[#fields + 1] = pair[1]
            fields[#fields + 1] = pair[2]
        end
    end
    call('DEL', next_key)
    call('HSET', next_key, unpack(fields))
    call('PERSIST', q.base .. 'de:' .. de.id)
    return true
end

-- True when the owner was delayed and `job` takes its place.
local function dedup_replace(q, de, owner, job)
    if call('ZREM', q.delayed, owner) == 0 then
        return false
    end
    local key = q.base .. owner
    call('DEL', key, key .. ':logs', key .. ':dependencies', key .. ':processed',
        key .. ':failed', key .. ':unsuccessful', q.base .. 'dn:' .. de.id)
    emit(q, 'removed', 'jobId', owner, 'prev', 'delayed')
    emit(q, 'deduplicated', 'jobId', job.id, 'deduplicationId', de.id, 'deduplicatedJobId',
        owner)
    if de.ttl > 0 and not dedup_has(de, DEDUP_EXTEND) and not dedup_has(de, DEDUP_KEEP_LAST) then
        call('SET', q.base .. 'de:' .. de.id, job.id, 'KEEPTTL')
    else
        dedup_hold(q, de, job.id)
    end
    return true
end

-- Nil when `job` is to be added, else the id of the job that holds the deduplication id.
local function dedup(q, de, job)
    local key = q.base .. 'de:' .. de.id
    local owner = raw('GET', key)
    if not owner then
        dedup_hold(q, de, job.id)
        return nil
    end
    local replace = dedup_has(de, DEDUP_REPLACE)
    if replace and dedup_replace(q, de, owner, job) then
        return nil
    end
    if raw('PTTL', key) == -1 and raw('EXISTS', q.base .. owner) == 0 then
        -- The owner is gone without having let go.
        call('DEL', q.base .. 'dn:' .. de.id)
        dedup_hold(q, de, job.id)
        return nil
    end
    local stored = dedup_store_next(q, de, owner, job)
    if not replace and not stored and de.ttl > 0 and dedup_has(de, DEDUP_EXTEND) then
        dedup_hold(q, de, owner)
    end
    if stored or not replace then
        emit(q, 'deduplicated', 'jobId', owner, 'deduplicationId', de.id, 'deduplicatedJobId',
            job.id)
    end
    if not replace and dedup_has(de, DEDUP_RESCHEDULE) and raw('ZSCORE', q.delayed, owner) then
        call('HSET', q.base .. owner, 'delay', string.format('%.17g', job.delay))
        delay_until(q, owner, job.timestamp + job.delay)
    end
    return owner
end
