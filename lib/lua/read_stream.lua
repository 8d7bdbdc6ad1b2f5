-- What a stream is and has, or a refusal. Answers with: number of the newest event, duplicates and
-- jobs ever; the settings in the order of ox_stream_settings; then entries, bytes (-1 when not
-- known), groups, bindings, events in the log, and those of the last minute and hour; and the
-- positions of the first and the last event, empty when there is none.
--@keys log info binds
--@include stream_read log_event
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
local first, last = event_first(log, '-'), event_last(log)
if not s.known and not last and raw('EXISTS', log) == 0 then
    return NO_STREAM
end
local events, minute, hour, from, to = 0, 0, 0, '', ''
local n = s.n or 0
if first then
    local ms, number, count = log_entry(first)
    from = string.format('%.0f-%.0f', ms, number - count + 1)
    local _, newest = log_entry(last)
    to, events = last[1], newest - number + count
    n = math.max(n, newest)
    local now = raw('TIME')
    local function since(ms)
        local begin = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) - ms
        local entry = event_first(log, string.format('%.0f', math.max(begin, 0)))
        if not entry then
            return 0
        end
        local _, last_number, its = log_entry(entry)
        return newest - last_number + its
    end
    minute, hour = since(60000), since(3600000)
end
local bytes = try('MEMORY', 'USAGE', log)
local groups = try('XINFO', 'GROUPS', log)
return { n, s.duplicates, s.jobs, s.keep_ms, s.keep_events, s.keep_bytes,
    s.keep_unread and 1 or 0, s.dedup_ms, s.dedup_all and 1 or 0, s.deflate and 1 or 0,
    s.max_event, raw('XLEN', log),
    type(bytes) == 'number' and bytes or first and -1 or 0, groups.err and 0 or #groups,
    raw('HLEN', binds), events, minute, hour, from, to }
