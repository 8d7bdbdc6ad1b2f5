-- Stands before a script's own text. Notes all keys that are touched in `touched` and commands
-- that may write in `commands`. If `at` is there, the call of that number fails, and `fired` says so.
local real, writes = redis, {}
local at = tonumber(real.call('GET', 'at')) or 0
for _, name in ipairs({ 'SET', 'PSETEX', 'PEXPIRE', 'PERSIST', 'DEL', 'UNLINK', 'INCR', 'INCRBY',
    'DECRBY', 'HSET', 'HDEL', 'HINCRBY', 'ZADD', 'ZREM', 'ZPOPMIN', 'ZREMRANGEBYRANK', 'SADD',
    'SREM', 'LPUSH', 'RPUSH', 'RPOP', 'LREM', 'LSET', 'LTRIM', 'RPOPLPUSH', 'LMOVE', 'RENAME',
    'XADD', 'XTRIM', 'XDEL', 'XGROUP', 'XREADGROUP', 'XCLAIM', 'XACK' }) do
    writes[name] = true
end
local function watched(f, counts, ...)
    local name = ...
    if at == 0 then
        for i = 2, select('#', ...) do
            local text = tostring((select(i, ...)))
            if string.find(text, '^t:[a-z]*:') then
                real.call('SADD', 'touched', text)
            end
        end
        if writes[name] then
            real.call('SADD', 'commands', name)
        end
    elseif counts or writes[name] then
        at = at - 1
        if at == 0 then
            at = -1
            real.call('SET', 'fired', name)
            if counts then
                error({ err = 'ERR injected' })
            end
            return { err = 'ERR injected' }
        end
    end
    return f(...)
end
local redis = {
    call = function(...) return watched(real.call, true, ...) end,
    pcall = function(...) return watched(real.pcall, false, ...) end,
    acl_check_cmd = real.acl_check_cmd,
}
