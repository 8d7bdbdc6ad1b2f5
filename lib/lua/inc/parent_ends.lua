--@include queue_at release split_key push emit decode_json
-- What the end of a child means to its parent (section 5.10 of the layout). `parent` is the
-- JSON of the child's hash, `parent_key` its key; `child` the child's key.
local function parent_of(parent_key, parent)
    local p = decode_json(parent)
    local base, id = tostring(p['queueKey']) .. ':', tostring(p['id'])
    if base .. id == parent_key then
        return base, id, p
    end
    base, id = split_key(parent_key)
    return base, id, p
end

local function child_completed(flags, child, parent_key, parent, value, now)
    if call('SREM', parent_key .. ':dependencies', child) == 1 then
        local base, id = parent_of(parent_key, parent)
        call('HSET', parent_key .. ':processed', child, value)
        release_if_ready(queue_at(base, flags), id, now)
    end
end

-- A failed child of the kind `fpof` lets its parent fail: now if it waits or is delayed, at
-- its end if it runs.
local function fail_parent(q, id, child, now)
    local key = q.base .. id
    if raw('EXISTS', key) == 0 or raw('ZSCORE', q.base .. 'failed', id) then
        return
    end
    call('HSET', key, 'defa', 'child ' .. child .. ' failed')
    if call('ZREM', q.delayed, id) == 1 then
        call('HSET', key, 'delay', '0')
        local priority = tonumber(raw('HGET', key, 'priority')) or 0
        push(q, id, priority, priority == 0)
        emit(q, 'waiting', 'jobId', id, 'prev', 'waiting-children')
    else
        release(q, id, now)
    end
end

local function child_failed(flags, child, parent_key, parent, reason, now)
    local base, id, p = parent_of(parent_key, parent)
    if not (p['fpof'] or p['cpof'] or p['idof'] or p['rdof']) or
        call('SREM', parent_key .. ':dependencies', child) == 0 then
        return
    end
    local q = queue_at(base, flags)
    if p['fpof'] then
        call('ZADD', parent_key .. ':unsuccessful', now, child)
        fail_parent(q, id, child, now)
    elseif p['cpof'] then
        call('HSET', parent_key .. ':failed', child, reason)
        release(q, id, now)
    else
        if p['idof'] then
            call('HSET', parent_key .. ':failed', child, reason)
        end
        release_if_ready(q, id, now)
    end
end

-- A child that is removed no longer holds its parent.
local function child_removed(flags, child, parent_key, now)
    if call('SREM', parent_key .. ':dependencies', child) == 1 then
        local base, id = parent_of(parent_key, raw('HGET', child, 'parent'))
        release_if_ready(queue_at(base, flags), id, now)
    end
end
