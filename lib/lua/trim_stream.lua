-- Removes the oldest events of a stream. `keep`: how many stay, or -1; `before`: from before that
-- time all go, or 0. Answers with how many went.
--@keys log info
--@args keep before
--@include stream_read log_cut log_trim
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
local oldest, newest = event_first(log, '-'), event_last(log)
if not oldest or not newest then
    return (s.known or raw('EXISTS', log) == 1) and 0 or NO_STREAM
end
local _, number, count = log_entry(oldest)
local _, n = log_entry(newest)
-- When Redis' memory is full, a script may only write after a write that frees memory, or could.
raw('XTRIM', log, 'MINID', '=', '0-0')
keep = tonumber(keep)
local cut, floor, floor_ms = log_cut(log, keep >= 0 and n - keep or 0, tonumber(before))
if s.known then
    call('HSET', info, 'floor', string.format('%.0f', floor), 'floor_ms',
        string.format('%.0f', floor_ms))
end
log_trim(log, cut)
return floor - (number - count)
