--@include queue_at create decode_json
-- A job that ends lets go of its deduplication id; if a later add was stored meanwhile (mode
-- keepLastIfActive), it becomes a job now. What was stored may be anybody's who can write into this
-- queue, so it gets a parent of another queue only if that one knows it already.
local function dedup_end(base, flags, did, id, now)
    local key = base .. 'de:' .. did
    local left = raw('PTTL', key)
    if left == 0 or (left == -1 and raw('GET', key) == id) then
        call('DEL', key)
    end
    local next_key = base .. 'dn:' .. did
    local f = raw('HMGET', next_key, 'name', 'data', 'opts', 'pk', 'pd', 'pdk', 'rjk', 'jid')
    if not f[3] then
        return
    end
    local number = call('INCR', base .. 'id')
    local next_id = f[8] or string.format('%.0f', number)
    local opts = decode_json(f[3])
    local de = type(opts['de']) == 'table' and opts['de'] or {}
    local ttl = tonumber(de['ttl']) or 0
    if ttl > 0 and not de['keepLastIfActive'] then
        call('SET', key, next_id, 'PX', ttl)
    else
        call('SET', key, next_id)
    end
    local child, parent_key = base .. next_id, f[4]
    if parent_key and string.sub(parent_key, 1, #base) ~= base and
        try('SISMEMBER', parent_key .. ':dependencies', child) ~= 1 then
        parent_key, f[5] = nil, nil
    end
    local extra = { 'deid', did }
    for _, pair in ipairs({ { 'parentKey', parent_key }, { 'parent', f[5] }, { 'rjk', f[7] } }) do
        if pair[2] then
            extra[#extra + 1] = pair[1]
            extra[#extra + 1] = pair[2]
        end
    end
    local delay, priority = tonumber(opts['delay']) or 0, tonumber(opts['priority']) or 0
    local q = queue_at(base, flags)
    store(q, next_id, f[1] or '', f[2] or '{}', f[3], now, string.format('%.17g', delay),
        string.format('%.0f', priority), extra)
    place(q, next_id, tonumber(now), delay, priority, opts['lifo'])
    if parent_key then
        call('SADD', parent_key .. ':dependencies', child)
    end
    call('DEL', next_key)
end
