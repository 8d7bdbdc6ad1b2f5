-- Ends entries that a member of a group has: acknowledges them, or gives them back for any member
-- to claim at once, with no delivery counted. With an entry go its dead letters, and events of it
-- that are to run again by themselves. Each end is done only if the entry is still this member's.
--
-- `held`: how many entries it has. What follows are entries: stream ('l' or 'a'), id, 'k'
-- (acknowledge), 'g' (the same, it is gone from the log: nobody else runs it) or 'r' (give back),
-- how many letters, and for each: kind ('d' dead, 'a' again, 'o' again and alone), position, event,
-- reason, attempts, deliveries. Behind 'g' is how many events the entry has. Behind that, or the
-- letter, may be '+' and how many events its reader found missing before it, to be counted as lost.
-- Answers with pairs of refusals: the place of the entry, from 1, and NOT_HELD or NOT_PENDING.
--@keys log info
--@args base group member held
--@rest entry
--@include again_add ring must_be_allowed whole gone_is_odd
local own = base .. group .. ':'
local again, dead, gone = own .. 'again', own .. 'dead', own .. 'gone'
local ends, refused, rung, died = {}, {}, false, false

-- ---- what is to end ------------------------------------------------------------------------

local at = first
while at <= #ARGV do
    local letters = tonumber(ARGV[at + 3])
    ends[#ends + 1] = { stream = ARGV[at] == 'a' and again or log, id = ARGV[at + 1],
        how = string.sub(ARGV[at + 2], 1, 1), counts = string.sub(ARGV[at + 2], 2), from = at + 4,
        letters = letters }
    at = at + 4 + 6 * letters
end

local function is_before(a, b)
    local ams, an = string.match(a, '(%d+)-(%d+)')
    local bms, bn = string.match(b, '(%d+)-(%d+)')
    ams, bms = tonumber(ams), tonumber(bms)
    return ams < bms or ams == bms and tonumber(an) < tonumber(bn)
end

-- What this member has between the ids that are to end, with the number of deliveries.
local function look(stream)
    local low, high, has = nil, nil, {}
    for _, e in ipairs(ends) do
        if e.stream == stream then
            low = (not low or is_before(e.id, low)) and e.id or low
            high = (not high or is_before(high, e.id)) and e.id or high
        end
    end
    if low then
        local rows = try('XPENDING', stream, group, low, high, tonumber(held) + 1000, member)
        if rows.err and not string.find(rows.err, 'NOGROUP', 1, true) then
            error(rows.err, 0)
        end
        for _, row in ipairs(rows.err and {} or rows) do
            has[row[1]] = row[4]
        end
    end
    return has
end

local has = { [log] = look(log), [again] = look(again) }
local acks, drops, backs = {}, {}, {}
for i, e in ipairs(ends) do
    e.deliveries = has[e.stream][e.id]
    if not e.deliveries and e.how ~= 'g' then
        local other = try('XPENDING', e.stream, group, e.id, e.id, 1)
        refused[#refused + 1] = i
        refused[#refused + 1] = other[1] and NOT_HELD or NOT_PENDING
    elseif e.how == 'r' then
        backs[#backs + 1] = e
    elseif e.stream == again then
        drops[#drops + 1] = e
    else
        acks[#acks + 1] = e.id
    end
end

-- ---- dead letters, and what runs again -----------------------------------------------------

for _, e in ipairs(ends) do
    local held_still = e.deliveries or e.how == 'g'
    for i = e.from, held_still and e.from + 6 * e.letters - 1 or 0, 6 do
        local kind, position, event = ARGV[i], ARGV[i + 1], ARGV[i + 2]
        if kind == 'd' then
            must_be_allowed('XDEL', dead)
            if raw('EXISTS', dead) == 0 then
                must_be_allowed('DEL', dead)
                undo[#undo + 1] = { 'DEL', dead }
            end
            call('XADD', dead, '*', 'e', event, 'p', position, 'r', ARGV[i + 3], 'a',
                ARGV[i + 4], 'd', ARGV[i + 5])
            died = true
        else
            again_add(again, group, position, event, kind == 'o' and '1' or '0')
            rung = true
        end
    end
end

-- ---- the ends ------------------------------------------------------------------------------

for _, e in ipairs(backs) do
    undo[#undo + 1] = { 'XCLAIM', e.stream, group, member, '0', e.id, 'RETRYCOUNT', e.deliveries,
        'JUSTID' }
    raw('XCLAIM', e.stream, group, RELEASED, '0', e.id, 'IDLE', 86400000, 'RETRYCOUNT',
        math.max(0, e.deliveries - 1), 'JUSTID')
    rung = true
end
local ids = {}
for i, e in ipairs(drops) do
    undo[#undo + 1] = { 'XCLAIM', again, group, member, '0', e.id, 'RETRYCOUNT', e.deliveries,
        'FORCE', 'JUSTID' }
    ids[i] = e.id
end
for _, e in ipairs(ends) do
    local events, missing = '', ''
    if e.counts ~= '' then
        events, missing = string.match(e.counts, '^(%d*)+?(%d*)$')
    end
    if missing ~= '' and e.deliveries then
        call('HINCRBY', info, 'lost:' .. group, missing)
    end
    -- It was counted as lost: when its claim was over, or by the renewal that found it deleted.
    if e.how == 'g' and events ~= '0' and not e.deliveries and
        (gone_is_odd(gone) or raw('HEXISTS', gone, e.id) == 0) then
        call('HINCRBY', info, 'lost:' .. group, '-' .. events)
    end
end
if #acks > 0 then
    if raw('EXISTS', gone) == 1 and not gone_is_odd(gone) then -- retention took some of members
        call('HDEL', gone, unpack(acks))
    end
    for i = 1, #drops > 0 and #acks or 0 do
        undo[#undo + 1] = { 'XCLAIM', log, group, member, '0', acks[i], 'RETRYCOUNT',
            has[log][acks[i]] or 1, 'FORCE', 'JUSTID' }
    end
    raw('XACK', log, group, unpack(acks))
end
if #drops > 0 then
    raw('XACK', again, group, unpack(ids))
    raw('XDEL', again, unpack(ids))
end
if rung then
    ring(own .. 'wake')
end

-- Dead letters have the bound in bytes that the log has: a handler that fails at everything must
-- not fill Redis. The oldest go, and are counted. All else is done, so an error harms nothing.
local most = died and (whole(try('HGET', info, 'keep_bytes')) or DEFAULT_KEEP_BYTES) or 0
local used, letters = most > 0 and try('MEMORY', 'USAGE', dead), most > 0 and try('XLEN', dead)
if type(used) == 'number' and type(letters) == 'number' and used > most then
    local stay = math.floor(letters * most / used * 0.95)
    local dropped = try('XTRIM', dead, 'MAXLEN', '~', stay)
    if type(dropped) == 'number' and dropped > 0 then
        try('HINCRBY', info, 'dropped:' .. group, dropped)
    end
end
return refused
