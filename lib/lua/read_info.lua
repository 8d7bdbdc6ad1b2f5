-- The settings of a queue and what is odd about it.
--@keys meta id limiter wait paused repeat
--@args base
local set = raw('HMGET', meta, 'version', 'concurrency', 'max', 'duration',
    'opts.maxLenEvents', 'paused')

-- Whether the limiter is closed is known where its limit is; else what it counts may matter.
local ttl = raw('PTTL', limiter)
local max = tonumber(set[3])
if ttl < 0 or (max and (tonumber(raw('GET', limiter)) or 0) < max) then
    ttl = 0
end

local function is_marker(at)
    return string.sub(raw('LINDEX', wait, at) or '', 1, 2) == '0:'
end

local legacy = 0
for _, scheduler in ipairs(raw('ZRANGE', repeat_, 0, 999)) do
    if try('HEXISTS', base .. 'repeat:' .. scheduler, 'ic') ~= 1 then
        legacy = 1
    end
end
return { set[1] or '', set[2] or '', set[3] or '', set[4] or '', set[5] or '',
    raw('GET', id) or '', set[6] and 1 or 0, ttl, set[6] and 0 or raw('EXISTS', paused),
    (is_marker(0) or is_marker(-1)) and 1 or 0, legacy }
