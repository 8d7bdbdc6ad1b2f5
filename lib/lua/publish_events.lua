-- Publishes events, in order: appends them to the log and adds a job to each queue that is bound
-- to their type. They come in packs, each of which becomes an entry. Of a pack:
--   `count`  how many events
--   `text`   their JSON, one a line
--   `packed` the same, deflated; or ''
--   `keys`   of each, joined by ',': '1' when the publisher chose its id, else '0'; and its key,
--            see docs/events-layout.md
--   `types`  of each, joined by ',', or one for all
-- `deflated` is 1 when packs are deflated where that makes them smaller. Where nobody asks for
-- them, `keys` and `types` are '', and, if there is `packed`, `text`. For whom a call lacks what
-- the stream needs the answer is PUBLISH_AGAIN and NEEDS_KEYS + NEEDS_DEFLATED; for events of
-- which one is larger than the stream takes (`largest`: bytes) it is TOO_LARGE and the limit.
-- Then nothing is published.
--
-- Answers with the time of the call's positions, the number of the event before its first new
-- one, and what the next call has to have; then, unless all are new and no job was made, for each
-- event how many jobs were, or, for one whose key is known, the position of the first.
--
-- `id`: of the call, or ''. One that is sent again under its id, because its answer was lost, does
-- nothing, and gets the same answer while the dedup window lasts.
--@keys log info binds routes seen0 seen1
--@args flags max_events prefix stream now id deflated largest
--@rest count keys types text packed
--@include stream_read log_entry server_now drop_keys must_be_allowed
--@rare event_jobs
--@rare log_cut
--@rare log_trim
--@rare log_read
--@rare log_event.event_last
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
if tonumber(largest) > s.max_event then
    return { TOO_LARGE, s.max_event }
end
local bound, keyed = raw('EXISTS', binds) == 1, ARGV[first + 1] ~= ''
local needs = ((bound or s.dedup_all) and NEEDS_KEYS or 0) + (s.deflate and NEEDS_DEFLATED or 0)
if needs % 2 == NEEDS_KEYS and not keyed or s.deflate and deflated ~= '1' then
    return { PUBLISH_AGAIN, needs }
end

-- What a call of that id was answered.
local function first_answer()
    for _, seen in ipairs({ seen0, seen1 }) do
        local text = raw('HGET', seen, id)
        if text then
            local all = {}
            for item in string.gmatch(text, '%S+') do
                all[#all + 1] = tonumber(item) or item
            end
            return all
        end
    end
end

local again = id ~= '' and s.dedup_ms > 0 and first_answer()
if again then
    return again
end
if not s.known then
    stream_create(info, prefix, stream)
end
if (s.n or 0) == 0 then -- a new stream, or one whose `info` was lost, and may be made again
    local last = event_last(log)
    s.ms, s.n = 0, 0
    if last then
        s.ms, s.n = log_entry(last)
    end
end
-- A position has the time of the one before where the clock was set back; what has to do with how much
-- time passes goes by the clock.
local clock = tonumber((server_now(now, '-1')))
local ms = math.max(s.ms, clock)
local n, jobs, duplicates, bytes = s.n, 0, 0, 0

local function position(number)
    return string.format('%.0f-%.0f', ms, number)
end

-- ---- which are new -------------------------------------------------------------------------

local function split(text, by)
    local all = {}
    for part in string.gmatch(text, '[^' .. by .. ']+') do
        all[#all + 1] = part
    end
    return all
end

-- The events of keyed packs, with their keys.
local function read_packs()
    local packs, looked = {}, {}
    for i = first, #ARGV, 5 do
        local pack = { text = ARGV[i + 3], packed = ARGV[i + 4] }
        local types, known_type = split(ARGV[i + 2], ','), nil
        for _, key in ipairs(split(ARGV[i + 1], ',')) do
            known_type = types[#pack + 1] or known_type
            local event = { key = string.sub(key, 2), type = known_type, jobs = 0,
                looked = s.dedup_ms > 0 and (s.dedup_all or string.sub(key, 1, 1) == '1') }
            pack[#pack + 1] = event
            if event.looked then
                looked[#looked + 1] = event
            end
        end
        packs[#packs + 1] = pack
    end
    return packs, looked
end

-- Marks events that are known, with the position of the first, or the event itself. What is left
-- is remembered.
local function find_known(looked)
    local known, keys, fresh = {}, {}, {}
    for i, event in ipairs(looked) do
        keys[i] = event.key
    end
    for _, seen in ipairs({ seen0, seen1 }) do
        local got = #keys > 0 and raw('HMGET', seen, unpack(keys)) or {}
        for i = 1, #keys do
            local at = got[i] and tonumber(string.match(got[i], '^(%d+)-%d+$'))
            if at and ms - at < s.dedup_ms then
                known[keys[i]] = got[i]
            end
        end
    end
    for _, event in ipairs(looked) do
        event.first = known[event.key]
        if event.first then
            duplicates = duplicates + 1
        else
            known[event.key], fresh[#fresh + 1] = event, event
        end
    end
    return fresh
end

-- ---- the log -------------------------------------------------------------------------------

local function must_be_undoable()
    must_be_allowed('XDEL', log)
    if raw('EXISTS', log) == 0 then
        must_be_allowed('DEL', log)
        undo[#undo + 1] = { 'DEL', log }
    end
end

-- Appends an entry. Its id must be above that of any entry that ever was, also of one that others
-- wrote, or that a call has taken back.
local function append(field, text, count)
    if n == s.n then
        must_be_undoable()
    end
    local number = n + count
    local entry = { field, text, count > 1 and 'c' or nil, count > 1 and count or nil }
    local at = position(number)
    local added = try('XADD', log, at, unpack(entry))
    if type(added) == 'table' and n == s.n and
        string.find(added.err, 'equal or smaller', 1, true) then
        local about = raw('XINFO', 'STREAM', log)
        for i = 1, #about, 2 do
            if about[i] == 'last-generated-id' then
                ms = tonumber(string.match(about[i + 1], '^%d+')) + 1
            end
        end
        if ms > 9007199254740991 then
            error('ERR an entry that others wrote has the largest id that there is: none can ' ..
                'follow in this log, so remove the stream', 0)
        end
        at = position(number)
        added = raw('XADD', log, at, unpack(entry))
    elseif type(added) == 'table' then
        error(added, 0)
    end
    undo[#undo + 1] = { 'XDEL', log, at }
    n, bytes = number, bytes + #text
end

-- Appends what is new of a pack: as it came, when all is.
local function append_pack(pack)
    local some = {}
    for _, event in ipairs(pack) do
        if not event.first then
            some[#some + 1] = event
            event.number = n + #some
        end
    end
    if #some == #pack then
        append(pack.packed ~= '' and 'z' or 'e', pack.packed ~= '' and pack.packed or pack.text,
            #pack)
    elseif #some > 0 then
        local lines = split(pack.text, '\n')
        local kept = {}
        for i, event in ipairs(pack) do
            if not event.first then
                kept[#kept + 1] = lines[i]
            end
        end
        append('e', table.concat(kept, '\n'), #kept)
    end
end

-- ---- the stream ----------------------------------------------------------------------------

-- Puts fields, names and values in turn, into the dedup window. A half lives as long as what is in
-- it is looked for.
local function remember(fields)
    local seen = s.half == '1' and seen1 or seen0
    local other = s.half == '1' and seen0 or seen1
    local names = {}
    for i = 1, #fields, 2 do
        names[#names + 1] = fields[i]
    end
    must_be_allowed('HDEL', seen)
    raw('HSET', seen, unpack(fields))
    undo[#undo + 1] = { 'HDEL', seen, unpack(names) }
    local turn = clock - s.turned >= s.dedup_ms
    if turn then
        call('HSET', info, 'half', s.half == '1' and '0' or '1', 'turned',
            string.format('%.0f', clock))
        drop_keys({ other })
    elseif clock < s.turned then -- it was set back: this half begins anew
        call('HSET', info, 'turned', string.format('%.0f', clock))
    end
    if turn or raw('PTTL', seen) < 0 then
        call('PEXPIRE', seen, string.format('%.0f', s.dedup_ms * (turn and 1 or 2)))
    end
end

local function count()
    local old, new = { 'HSET', info }, {}
    local function set(name, value)
        if value ~= s[name] then
            old[#old + 1], old[#old + 2] = name, string.format('%.0f', s[name])
            new[#new + 1], new[#new + 2] = name, string.format('%.0f', value)
        end
    end
    set('n', n)
    set('ms', ms)
    set('jobs', s.jobs + jobs)
    set('duplicates', s.duplicates + duplicates)
    if s.floor_ms == 0 then
        call('HSET', info, 'floor_ms', string.format('%.0f', ms))
    end
    if #new > 0 then
        undo[#undo + 1] = old
        raw('HSET', info, unpack(new))
    end
end

-- Trims, when a bound is passed by more than a little. All else is done: an error harms nothing.
local function trim()
    local last, before = 0, 0
    if s.keep_events > 0 and
        n - s.floor > s.keep_events + math.max(100, s.keep_events / 100) then
        last = n - s.keep_events
    end
    if s.keep_ms > 0 and s.floor_ms > 0 and ms - s.floor_ms > s.keep_ms * 1.01 then
        before = ms - s.keep_ms
    end
    if s.keep_unread and (last > 0 or before > 0) then
        local read_ms, read = log_read(log, n)
        last, before = math.min(last, read), math.min(before, read_ms)
    end
    if s.keep_bytes > 0 and (bytes > 65536 or math.floor(n / 1000) > math.floor(s.n / 1000)) then
        local used = try('MEMORY', 'USAGE', log)
        if type(used) == 'number' and used > s.keep_bytes then
            local stay = math.floor((n - s.floor) * s.keep_bytes / used * 0.95)
            last = math.max(last, n - stay)
        end
    end
    if last > s.floor or before > s.floor_ms then
        local cut, floor, floor_ms = log_cut(log, last, before)
        log_trim(log, cut)
        raw('HSET', info, 'floor', string.format('%.0f', floor), 'floor_ms',
            string.format('%.0f', floor_ms))
    end
end

local answer, fields = { ms, n, needs }, {}
if keyed then
    local packs, looked = read_packs()
    local fresh = find_known(looked)
    for _, pack in ipairs(packs) do
        append_pack(pack)
    end
    if bound then
        jobs = event_jobs(packs, { ms = ms, now = clock, prefix = prefix, flags = flags,
            max_events = max_events, binds = binds, routes = routes })
    end
    for _, event in ipairs(fresh) do
        fields[#fields + 1], fields[#fields + 2] = event.key, position(event.number)
    end
    for _, pack in ipairs(jobs + duplicates > 0 and packs or {}) do
        for _, event in ipairs(pack) do
            local at = event.first
            answer[#answer + 1] = type(at) == 'table' and position(at.number) or at or event.jobs
        end
    end
else
    for i = first, #ARGV, 5 do
        local packed = ARGV[i + 4]
        append(packed ~= '' and 'z' or 'e', packed ~= '' and packed or ARGV[i + 3],
            tonumber(ARGV[i]))
    end
end
answer[1] = ms
if id ~= '' and s.dedup_ms > 0 then
    local texts = {}
    for i, item in ipairs(answer) do
        texts[i] = type(item) == 'number' and string.format('%.0f', item) or item
    end
    fields[#fields + 1], fields[#fields + 2] = id, table.concat(texts, ' ')
end
if #fields > 0 then
    remember(fields)
end
count()
commit()
pcall(trim)
return answer
