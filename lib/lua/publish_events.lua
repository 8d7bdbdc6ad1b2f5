-- Publishes events, in order: appends them to the log and adds a job to each queue that is bound
-- to their type. Answers for each with its position and how many jobs were made; or, when its
-- key is known, with the position of the first one and PUBLISHED_DUPLICATE. For an event that is
-- larger than the stream takes the answer is that alone: TOO_LARGE, its index from 0, the limit;
-- then nothing is published.
--
-- `key`: see docs/events-layout.md; `known`: '1' when the publisher chose the id.
--@keys log info binds routes seen0 seen1
--@args flags max_events prefix stream now
--@rest type key known event
--@include stream_read log_entry log_cut route server_now
--@include queue_at add_job push trim_events drop_keys must_be_allowed
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
for i = first, #ARGV, 4 do
    if #ARGV[i + 3] > s.max_event then
        return { { TOO_LARGE, (i - first) / 4, s.max_event } }
    end
end
if not s.known then
    stream_create(info, prefix, stream)
end
if not s.n then -- a new stream, or one whose `info` was lost
    local last = log_last(log)
    s.ms, s.n = 0, 0
    if last then
        s.ms, s.n = log_entry(last)
    end
end
local ms = math.max(s.ms, tonumber((server_now(now, '-1'))))
local n, jobs, duplicates = s.n, 0, 0

-- ---- which are new -------------------------------------------------------------------------

-- The positions that the dedup window has, by key.
local function known_keys()
    local keys, known = {}, {}
    for i = first, s.dedup_ms > 0 and #ARGV or 0, 4 do
        if s.dedup_all or ARGV[i + 2] == '1' then
            keys[#keys + 1] = ARGV[i + 1]
        end
    end
    if #keys == 0 then
        return nil
    end
    for _, seen in ipairs({ seen0, seen1 }) do
        local got = raw('HMGET', seen, unpack(keys))
        for i = 1, #keys do
            local at = got[i] and tonumber(string.match(got[i], '^(%d+)-%d+$'))
            if at and ms - at < s.dedup_ms then
                known[keys[i]] = got[i]
            end
        end
    end
    return known
end

local function position(number)
    return string.format('%.0f-%.0f', ms, number)
end

local answers, fresh, fields = {}, {}, {}
local known = known_keys()
for i = first, #ARGV, 4 do
    local key = ARGV[i + 1]
    local looked = known and (s.dedup_all or ARGV[i + 2] == '1')
    if looked and known[key] then
        duplicates = duplicates + 1
        answers[#answers + 1] = { known[key], PUBLISHED_DUPLICATE }
    else
        n = n + 1
        local event = { number = n, type = ARGV[i], key = key, text = ARGV[i + 3], jobs = 0 }
        fresh[#fresh + 1] = event
        answers[#answers + 1] = event
        if looked then
            known[key] = event
            fields[#fields + 1] = event
        end
    end
end

-- ---- the log -------------------------------------------------------------------------------

-- Appends events as one entry. The id must be above that of any entry that ever was, also of one
-- that others wrote, or that a call has taken back.
local function append(lines, number)
    local id = string.format('%.0f-%.0f', ms, number)
    local entry = { 'e', table.concat(lines, '\n') }
    if #lines > 1 then
        entry[3], entry[4] = 'c', #lines
    end
    local added = try('XADD', log, id, unpack(entry))
    if type(added) == 'table' and number == s.n + #lines and
        string.find(added.err, 'equal or smaller', 1, true) then
        local about = raw('XINFO', 'STREAM', log)
        for i = 1, #about, 2 do
            if about[i] == 'last-generated-id' then
                ms = tonumber(string.match(about[i + 1], '^%d+')) + 1
            end
        end
        id = string.format('%.0f-%.0f', ms, number)
        added = raw('XADD', log, id, unpack(entry))
    elseif type(added) == 'table' then
        error(added, 0)
    end
    undo[#undo + 1] = { 'XDEL', log, id }
end

-- Entries of about 4 KB, since whatever is trimmed goes by whole entries.
local function append_all()
    must_be_allowed('XDEL', log)
    if raw('EXISTS', log) == 0 then
        must_be_allowed('DEL', log)
        undo[#undo + 1] = { 'DEL', log }
    end
    local lines, size = {}, 0
    for i, event in ipairs(fresh) do
        if size > 0 and size + #event.text > 4096 then
            append(lines, event.number - 1)
            lines, size = {}, 0
        end
        lines[#lines + 1], size = event.text, size + #event.text
        if i == #fresh then
            append(lines, event.number)
        end
    end
end

-- ---- the jobs ------------------------------------------------------------------------------

local queues = {}

-- One job of an event, by a binding of its type.
local function add(bind, event)
    local name = bind.queue
    local to = queues[name]
    if not to then
        to = { q = queue_at(prefix .. ':' .. name .. ':', flags), later = {} }
        queues[#queues + 1], queues[name] = name, to
    end
    local time = string.format('%.0f', ms)
    local delay, priority = whole(bind.delay) or 0, whole(bind.priority) or 0
    local made = add_job(to.q, {
        id = 'ev-' .. event.key,
        name = type(bind.name) == 'string' and bind.name or event.type,
        data = event.text,
        opts = type(bind.opts) == 'string' and bind.opts or '{}',
        timestamp_text = time, delay_text = string.format('%.0f', delay),
        priority_text = string.format('%.0f', priority),
        timestamp = ms, delay = delay, priority = priority,
    }, bind.lifo == 1 and ADD_LIFO or '', time, to.later)
    if type(made) == 'string' then
        event.jobs, jobs = event.jobs + 1, jobs + 1
    end
end

-- Runs f(...); its error is raised with the name of the queue.
local function for_queue(name, f, ...)
    local ok, why = pcall(f, ...)
    if not ok then
        why = string.gsub(type(why) == 'table' and why.err or tostring(why),
            '^@user_script:%s*%d+:%s*%-?', '')
        local code, text = string.match(why, '^(%u+) (.*)$')
        error((code or 'ERR') .. ' queue ' .. name .. ': ' .. (text or why), 0)
    end
end

local function finish_queue(to)
    if #to.later > 0 then
        push_all(to.q, to.later)
    end
    trim_events(to.q.base, max_events)
end

local function add_jobs()
    local by_type = {}
    for _, event in ipairs(fresh) do
        local way = by_type[event.type] or route(binds, routes, event.type)
        by_type[event.type] = way
        for _, bind in ipairs(way) do
            for_queue(bind.queue, add, bind, event)
        end
    end
    for _, name in ipairs(queues) do
        for_queue(name, finish_queue, queues[name])
    end
end

-- ---- the stream ----------------------------------------------------------------------------

-- Puts keys into the dedup window. A half lives as long as what is in it is looked for.
local function remember()
    local seen = s.half == '1' and seen1 or seen0
    local other = s.half == '1' and seen0 or seen1
    local pairs_of = {}
    for i, event in ipairs(fields) do
        pairs_of[2 * i - 1], pairs_of[2 * i] = event.key, position(event.number)
    end
    call('HSET', seen, unpack(pairs_of))
    local turn = ms - s.turned >= s.dedup_ms
    if turn then
        call('HSET', info, 'half', s.half == '1' and '0' or '1', 'turned',
            string.format('%.0f', ms))
        drop_keys({ other })
    end
    if turn or raw('PTTL', seen) < 0 then
        call('PEXPIRE', seen, string.format('%.0f', s.dedup_ms * (turn and 1 or 2)))
    end
end

local function count()
    local old = { 'HSET', info }
    local new = {}
    for name, value in pairs({ n = n, ms = ms, jobs = s.jobs + jobs,
        duplicates = s.duplicates + duplicates }) do
        old[#old + 1], old[#old + 2] = name, string.format('%.0f', s[name])
        new[#new + 1], new[#new + 2] = name, string.format('%.0f', value)
    end
    if s.floor_ms == 0 then
        call('HSET', info, 'floor_ms', string.format('%.0f', ms))
    end
    undo[#undo + 1] = old
    raw('HSET', info, unpack(new))
end

-- Trims, when a bound is passed by more than a little. All else is done: an error harms nothing.
local function trim(bytes)
    local last, before = 0, 0
    if s.keep_events > 0 and
        n - s.floor > s.keep_events + math.max(100, s.keep_events / 100) then
        last = n - s.keep_events
    end
    if s.keep_ms > 0 and s.floor_ms > 0 and ms - s.floor_ms > s.keep_ms * 1.01 then
        before = ms - s.keep_ms
    end
    if s.keep_bytes > 0 and (bytes > 65536 or math.floor(n / 1000) > math.floor(s.n / 1000)) then
        local used = try('MEMORY', 'USAGE', log)
        if type(used) == 'number' and used > s.keep_bytes then
            local stay = math.floor((n - s.floor) * s.keep_bytes / used * 0.95)
            last = math.max(last, n - stay)
        end
    end
    if last > 0 or before > 0 then
        local cut, floor, floor_ms = log_cut(log, last, before)
        raw('XTRIM', log, 'MINID', '=', cut)
        raw('HSET', info, 'floor', string.format('%.0f', floor), 'floor_ms',
            string.format('%.0f', floor_ms))
    end
end

if #fresh > 0 then
    append_all()
    if raw('EXISTS', binds) == 1 then
        add_jobs()
    end
end
if #fields > 0 then
    remember()
end
count()
local bytes = 0
for i, answer in ipairs(answers) do
    if answer.number then
        bytes = bytes + #answer.text
        answers[i] = { position(answer.number), answer.jobs }
    elseif type(answer[1]) == 'table' then -- a repeat within the call
        answer[1] = position(answer[1].number)
    end
end
commit()
pcall(trim, bytes)
return answers
