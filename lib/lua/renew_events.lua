-- Renews the claims of a member of a group. `lease_ms`: of an ordered group, of its owner; else 0.
-- What follows are its entries: stream ('l' or 'a'), id, and how many events it has. Answers with:
-- whether it is the owner (1 where the group is not ordered); places of entries, from 1, that are
-- not its own any more; places of those that are gone from the log, so that nobody else gets them;
-- entries that it does not know, as stream and id.
--@keys log info
--@args base group member lease_ms
--@rest stream id events
--@include gone_is_odd
local own = base .. group .. ':'
local again, owner, taken_key = own .. 'again', own .. 'owner', own .. 'gone'
local lost, gone, unknown, mine = {}, {}, {}, 1
if tonumber(lease_ms) > 0 then
    mine = raw('GET', owner) == member and 1 or 0
    if mine == 1 then
        call('PEXPIRE', owner, lease_ms)
    end
end

local function renew(kind, stream)
    local ids, places = {}, {}
    for i = first, #ARGV, 3 do
        if ARGV[i] == kind then
            ids[#ids + 1], places[ARGV[i + 1]] = ARGV[i + 1], (i - first) / 3 + 1
        end
    end
    if kind == 'a' and #ids == 0 and raw('EXISTS', stream) == 0 then
        return
    end
    local rows = try('XPENDING', stream, group, '-', '+', #ids + 1000, member)
    if rows.err and not string.find(rows.err, 'NOGROUP', 1, true) then
        error(rows.err, 0)
    end
    -- Those that retention took are left to be found, and counted as lost, should this member die.
    local held, taken = {}, raw('EXISTS', taken_key) == 1 and not gone_is_odd(taken_key)
    for _, row in ipairs(rows.err and {} or rows) do
        if places[row[1]] and taken and raw('HEXISTS', taken_key, row[1]) == 1 then
            gone[#gone + 1] = places[row[1]]
            places[row[1]] = nil
        elseif places[row[1]] then
            held[#held + 1] = row[1]
        else
            unknown[#unknown + 1], unknown[#unknown + 2] = kind, row[1]
        end
    end
    local renewed = {}
    for from = 1, #held, 1000 do
        local some = { unpack(held, from, math.min(from + 999, #held)) }
        some[#some + 1] = 'JUSTID'
        for _, id in ipairs(raw('XCLAIM', stream, group, member, '0', unpack(some))) do
            renewed[id] = true
        end
    end
    -- What others deleted is pending no more now, which cannot be taken back. So it is counted here,
    -- and its end takes it off again.
    local deleted = 0
    for _, id in ipairs(held) do
        if not renewed[id] then
            gone[#gone + 1] = places[id]
            deleted = deleted + tonumber(ARGV[first + 3 * places[id] - 1])
        end
        places[id] = nil
    end
    if deleted > 0 then
        try('HINCRBY', info, 'lost:' .. group, deleted)
    end
    for _, place in pairs(places) do
        lost[#lost + 1] = place
    end
end

renew('l', log)
renew('a', again)
return { mine, lost, gone, unknown }
