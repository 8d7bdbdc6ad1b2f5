-- Moves dead letters of a group to the events that it runs again: those of the ids that follow,
-- or, with `last`, the oldest 100 up to that id, where `+` is the newest. Answers with how many,
-- and the `last` of the next step ('' when that was all); or a refusal.
--@keys log
--@args base group last
--@rest id
--@include groups_of again_add ring
local _, groups = groups_of(log)
if not groups[group] then
    return NO_GROUP
end
local dead, again = base .. group .. ':dead', base .. group .. ':again'
local letters, next = {}, ''
if last ~= '' then
    if last == '+' then
        local newest = raw('XREVRANGE', dead, '+', '-', 'COUNT', 1)[1]
        last = newest and newest[1] or '0-0'
    end
    letters = raw('XRANGE', dead, '-', last, 'COUNT', 100)
    next = #letters == 100 and last or ''
end
for i = first, #ARGV do
    letters[#letters + 1] = raw('XRANGE', dead, ARGV[i], ARGV[i], 'COUNT', 1)[1]
end
local gone = {}
for _, letter in ipairs(letters) do
    local fields = {}
    for i = 1, #letter[2], 2 do
        fields[letter[2][i]] = letter[2][i + 1]
    end
    if fields.e then
        again_add(again, group, fields.p or '0-0', fields.e)
    end
    gone[#gone + 1] = letter[1]
end
if #gone > 0 then
    raw('XDEL', dead, unpack(gone))
    ring(base .. group .. ':wake')
end
return { #gone, next }
