-- A member leaves its group: what it has is given back, no delivery counted, and it is no member
-- any more once it has nothing. Answers with how many entries it still has.
--@keys log
--@args base group member
--@include ring
local own, left = base .. group .. ':', 0
for _, stream in ipairs({ log, own .. 'again' }) do
    local rows = try('XPENDING', stream, group, '-', '+', 1001, member)
    for i = 1, rows.err and 0 or math.min(#rows, 1000) do
        local row = rows[i]
        undo[#undo + 1] = { 'XCLAIM', stream, group, member, '0', row[1], 'RETRYCOUNT', row[4],
            'JUSTID' }
        raw('XCLAIM', stream, group, RELEASED, '0', row[1], 'IDLE', 86400000, 'RETRYCOUNT',
            math.max(0, row[4] - 1), 'JUSTID')
    end
    if not rows.err and #rows <= 1000 then
        try('XGROUP', 'DELCONSUMER', stream, group, member)
    elseif not rows.err then
        left = left + #rows - 1000
    end
end
if try('GET', own .. 'owner') == member then
    try('DEL', own .. 'owner')
end
ring(own .. 'wake')
return left
