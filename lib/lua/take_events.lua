-- Takes entries for a member of a group: first those that are to run again, then those of the log
-- whose members are gone or gave them back, then new ones. The group is made where there is none.
--
-- `known`: where the group was when this member saw it last ('' at first): a group that vanished
-- goes on from there. `want`: events, until there are so many, or `bytes` of entries. `per`: events
-- that an entry has, about, and `size` its bytes. `idle_ms`: how long others' entries must have been
-- left alone to be claimed, or -1: none are looked for; in an ordered group 0, or -1 while the member
-- has entries.
-- `lease_ms`: of an ordered group, of its owner; else 0. `most`: what was delivered more often runs
-- alone, and is taken alone, so that nothing is counted as delivered that did not begin.
--
-- Answers with a refusal, or: whether this member may work (ordered: it is the owner) or else after
-- how many ms to look again, as a negative number; the group's place; the last id of `wake`; how
-- many events were lost (-1: the numbers went back); whether there may be more (2: and not only what
-- is new in the log); entries, each as stream ('l' or 'a'), id, fields, deliveries; ids that were
-- claimed and are gone; errors of parts that failed.
--@keys log info
--@args base prefix stream group member place ms number known want bytes per size idle_ms lease_ms most
--@include stream_read group_at groups_of group_make gone_is_odd
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
local own = base .. group .. ':'
local again, owner, wake = own .. 'again', own .. 'owner', own .. 'wake'
want, bytes, per, size = tonumber(want), tonumber(bytes), tonumber(per), tonumber(size)
idle_ms, lease_ms = tonumber(idle_ms), tonumber(lease_ms)

local _, groups = groups_of(log)
if not groups[group] then
    local at
    if known ~= '' then
        local known_ms, known_number = string.match(known, '^(%d+)-(%d+)$')
        at = place_of(log, s, 'position', known_ms, known_number) or place_of(log, s, 'start')
    else
        at = place_of(log, s, place, ms, number)
    end
    if not at then
        return BEYOND_END
    end
    if not s.known then
        stream_create(info, prefix, stream)
    end
    group_make(log, group, at)
    groups[group] = { ['last-delivered-id'] = at }
end
local at, became = groups[group]['last-delivered-id'], false

local function last_wake()
    local rung = try('XREVRANGE', wake, '+', '-', 'COUNT', 1)
    return rung[1] and rung[1][1] or '0-0'
end

-- ---- the owner of an ordered group ---------------------------------------------------------

-- How long the owner's lease is good still. Redis lets it end at a time of day, so where the
-- clock was set back it lasts as much longer. Then it is made as long as the owner took it for;
-- one that lives renews it.
local function lease_left()
    local left, lease = raw('PTTL', owner), whole(raw('HGET', info, 'lease:' .. group))
    if lease and left > lease then
        call('PEXPIRE', owner, string.format('%.0f', lease))
        left = lease
    end
    return math.max(1, left)
end

if lease_ms > 0 then
    local has = raw('GET', owner)
    -- Whatever the last owner had comes first, so a member that has entries cannot become it.
    if has and has ~= member or not has and idle_ms < 0 then
        return { -lease_left(), at, last_wake(), 0, 0, {}, {}, {} }
    end
    call('SET', owner, member, 'PX', lease_ms)
    became = not has
    if became then
        call('HSET', info, 'lease:' .. group, string.format('%.0f', lease_ms))
    end
end

-- ---- entries -------------------------------------------------------------------------------

local entries, gone, errors, lost, more = {}, {}, {}, 0, 0
local behind_all = '18446744073709551615-0' -- all ids

local function put(kind, entry, deliveries)
    local count, size, alone = 1, 0, deliveries > tonumber(most)
    for i = 1, #entry[2], 2 do
        if entry[2][i] == 'c' then
            count = math.max(1, whole(entry[2][i + 1]) or 1)
        end
        alone = alone or kind == 'a' and entry[2][i] == 'a'
        size = size + #entry[2][i + 1]
    end
    entries[#entries + 1] = { kind, entry[1], entry[2], deliveries }
    want, bytes = alone and 0 or want - count, bytes - size
    return count
end

-- A pending entry that retention took: its events are lost.
local function count_gone(stream, id)
    local events = 1
    if not gone_is_odd(own .. 'gone') then
        events = whole(raw('HGET', own .. 'gone', id)) or 1
        call('HDEL', own .. 'gone', id)
    end
    call('HINCRBY', info, 'lost:' .. group, events)
    raw('XACK', stream, group, id) -- before Redis 7 it is pending still
    lost = lost + events
end

local function members(stream)
    return tables_of(try('XINFO', 'CONSUMERS', stream, group))
end

-- Entries that others left alone for `idle_ms`. Redis tells the age of a claim by the time of
-- day: one of before the clock was set back has the age 0 until the clock has caught up. But no
-- claim is younger than the last word of its member, so where that was so long ago, these
-- entries are left alone as well.
local function left_alone(stream)
    local rows = {} -- those of before come first
    for _, about in ipairs(idle_ms > 0 and members(stream) or {}) do
        if about.pending > 0 and about.idle >= idle_ms and about.name ~= member then
            for _, row in ipairs(raw('XPENDING', stream, group, '-', '+', 100, about.name)) do
                rows[#rows + 1] = row[3] == 0 and row or nil
            end
        end
    end
    for _, row in ipairs(raw('XPENDING', stream, group, 'IDLE', idle_ms, '-', '+', 100)) do
        rows[#rows + 1] = row
    end
    return rows
end

local function claim(kind, stream)
    local freed, took = false, false
    for i, row in ipairs(left_alone(stream)) do
        if want <= 0 or bytes <= 0 or row[4] >= tonumber(most) and #entries > 0 then
            want, more = 0, 2
            break
        end
        if row[2] ~= member or lease_ms > 0 then
            undo[#undo + 1] = { 'XCLAIM', stream, group, row[2], '0', row[1], 'IDLE', row[3],
                'RETRYCOUNT', row[4], 'JUSTID' }
            local claimed = raw('XCLAIM', stream, group, member, '0', row[1])[1]
            if claimed then
                put(kind, claimed, row[4] + 1)
            else
                gone[#gone + 1] = row[1]
                count_gone(stream, row[1])
            end
            freed, took = freed or row[2] == RELEASED, true
        end
        more = i >= 100 and took and 2 or more
    end
    if freed and #raw('XPENDING', stream, group, '-', '+', 1, RELEASED) == 0 then
        try('XGROUP', 'DELCONSUMER', stream, group, RELEASED)
    end
end

local function read(kind, stream, before)
    local most = per > 1 and 1000 or 10 -- at first, when what an entry has is not known
    while want > 0 and bytes > 0 do
        local about = kind == 'a' and 1 or
            math.max(1, math.min(most, math.ceil(want / per), math.ceil(bytes / size)))
        local got = raw('XREADGROUP', 'GROUP', group, member, 'COUNT', about, 'STREAMS', stream,
            '>')
        local list = got and got[1][2] or {}
        if #list == 0 then
            return
        end
        undo[#undo + 1] = { 'XGROUP', 'SETID', stream, group, before }
        local events, room = 0, bytes
        for _, entry in ipairs(list) do
            undo[#undo + 1] = { 'XACK', stream, group, entry[1] }
            events = events + put(kind, entry, 1)
        end
        if #list < about then
            return
        end
        per, size, most = events / #list, math.max(1, (room - bytes) / #list), 1000
        before = list[#list][1]
    end
    more = kind == 'a' and 2 or 1
end

-- What is missing between where the group was and each entry that is new to it.
local function count_lost(from)
    local number, unread = nil, 0
    for i = from, #entries do
        local entry = { entries[i][2], entries[i][3] }
        if is_event(entry) then
            local _, last, count = log_entry(entry)
            unread = unread + (number and math.max(0, last - count - number) or
                missing_before(log, at, entry, s.n or 0))
            number = last
        end
    end
    if unread > 0 then
        call('HINCRBY', info, 'lost:' .. group, string.format('%.0f', unread))
        lost = lost + unread
    end
    at = entries[#entries][2]
end

-- A place behind all that there is, or will be for long: someone set it, or Redis lost its newest
-- events.
local function come_back()
    local newest = log_last(log)
    local ms_at = tonumber(string.match(at, '^%d+'))
    if ms_at <= math.max(newest and log_entry(newest) or 0, s.ms) then
        return
    end
    -- An entry may have been deleted since, behind which all that comes will be.
    local about, n = raw('XINFO', 'STREAM', log), s.n or 0
    local ms_ever = 0
    for i = 1, #about, 2 do
        if about[i] == 'last-generated-id' then
            ms_ever = tonumber(string.match(about[i + 1], '^%d+'))
        end
    end
    if ms_at > ms_ever then
        local place = newest and newest[1] or string.format('%.0f-%.0f', s.ms, n)
        raw('XGROUP', 'SETID', log, group, place)
        at, lost = place, -1
    end
end

-- In an ordered group nothing is read before all that other members had was claimed.
local function others_have(stream)
    local about = lease_ms > 0 and raw('XPENDING', stream, group) or {}
    for _, of in ipairs(about[4] or {}) do
        if of[1] ~= member then
            return true
        end
    end
    return false
end

local function read_new(kind, stream, from)
    if more == 0 and want > 0 and others_have(stream) then
        more = 1
    elseif more == 0 then
        read(kind, stream, from)
    end
end

local function part(name, f)
    local ok, why = guarded(f)
    if not ok then
        errors[#errors + 1] = name .. ': ' .. why
    end
end

local function all_again()
    if raw('EXISTS', again) == 0 then
        return
    end
    local _, known_groups = groups_of(again)
    if not known_groups[group] then
        group_make(again, group, '0')
        _, known_groups = groups_of(again)
    end
    if idle_ms >= 0 then
        claim('a', again)
    end
    read_new('a', again, known_groups[group]['last-delivered-id'])
end

-- Forgets members that are gone for good, with nothing pending. One that was heard of in this
-- very millisecond, or at a time to come, since the clock was set back, becomes one that was
-- heard of now, by reading nothing in its name: so its silence is counted from here on (see
-- left_alone). To one that lives this does nothing.
local function forget_members()
    for _, stream in ipairs({ log, again }) do
        for _, about in ipairs(members(stream)) do
            if about.idle == 0 and about.name ~= member then
                try('XREADGROUP', 'GROUP', group, about.name, 'COUNT', 1, 'STREAMS', stream,
                    behind_all)
            elseif about.pending == 0 and about.idle > MEMBER_MS and
                string.find(about.name, '@', 1, true) then
                try('XGROUP', 'DELCONSUMER', stream, group, about.name)
            end
        end
    end
end

local kept = { want, bytes }
part(again, all_again)
if #errors > 0 then
    entries, gone, want, bytes = {}, {}, kept[1], kept[2]
end
part(log, function()
    if idle_ms >= 0 then
        claim('l', log)
    end
    local old = #entries
    per, size = tonumber(ARGV[12]), tonumber(ARGV[13])
    read_new('l', log, at)
    if #entries > old then
        count_lost(old + 1)
    elseif more == 0 and want > 0 then
        come_back()
    end
end)
if idle_ms > 0 or became then
    forget_members()
    part(own .. 'gone', function()
        raw('HLEN', own .. 'gone') -- nothing else fails when it is of another type
    end)
end
return { 1, at, last_wake(), lost, more, entries, gone, errors }
