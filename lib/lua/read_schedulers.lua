-- Reads job schedulers; answers with the fields of each, all nil where there is none.
--@keys repeat
--@rest scheduler
local rows = {}
for i = first, #ARGV do
    rows[#rows + 1] = raw('HMGET', repeat_ .. ':' .. ARGV[i], 'name', 'pattern', 'tz', 'data',
        'opts', 'every', 'offset', 'startDate', 'endDate', 'limit', 'ic')
end
return rows
