--@include whole
-- What the hash `info` of a stream says, defaults where it says nothing; nil when that is of a
-- layout that this version does not know. `known`: the stream exists. Times and numbers that
-- others spoiled count as missing.
local function stream_read(info)
    local got = raw('HMGET', info, 'layout', 'n', 'ms', 'jobs', 'duplicates', 'floor',
        'floor_ms', 'half', 'turned', 'keep_ms', 'keep_events', 'keep_bytes', 'dedup_ms',
        'dedup_all', 'max_event', 'keep_unread', 'deflate')
    if got[1] and got[1] ~= STREAM_LAYOUT then
        return nil
    end
    return {
        known = got[1],
        n = whole(got[2]), ms = whole(got[3]) or 0,
        jobs = whole(got[4]) or 0, duplicates = whole(got[5]) or 0,
        floor = whole(got[6]) or 0, floor_ms = whole(got[7]) or 0,
        half = got[8] == '1' and '1' or '0', turned = whole(got[9]) or 0,
        keep_ms = whole(got[10]) or DEFAULT_KEEP_MS, keep_events = whole(got[11]) or DEFAULT_KEEP_EVENTS,
        keep_bytes = whole(got[12]) or DEFAULT_KEEP_BYTES, dedup_ms = whole(got[13]) or DEFAULT_DEDUP_MS,
        dedup_all = got[14] == '1', max_event = whole(got[15]) or DEFAULT_MAX_EVENT,
        keep_unread = got[16] == '1', deflate = got[17] == '1',
    }
end

-- Makes a stream known, once: its counters, and its name among the others.
local function stream_create(info, prefix, stream)
    call('HSET', info, 'layout', STREAM_LAYOUT, 'n', '0', 'ms', '0', 'jobs', '0', 'duplicates',
        '0')
    call('SADD', prefix .. '::ox:streams', stream)
end
