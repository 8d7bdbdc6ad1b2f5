--@include log_entry groups_of gone_is_odd
-- Removes the entries of a log before the id `cut`. Of those that members have, `gone` of their
-- group keeps how many events they had: should their member die, so many are lost.
local function log_trim(log, cut)
    for _, group in ipairs(groups_of(log)) do
        local gone = string.sub(log, 1, -4) .. group.name .. ':gone'
        local rows = group.pending > 0 and not gone_is_odd(gone) and
            raw('XPENDING', log, group.name, '-', '(' .. cut, 1000) or {}
        for _, row in ipairs(rows) do
            local entry = raw('XRANGE', log, row[1], row[1])[1]
            if entry then
                local _, _, count = log_entry(entry)
                call('HSET', gone, row[1], count)
            end
        end
    end
    raw('XTRIM', log, 'MINID', '=', cut)
end
