-- How many jobs wait at each priority; at 0, those in the lists.
--@keys wait paused prioritized
--@rest priority
local counts = {}
for i = first, #ARGV do
    local low = tonumber(ARGV[i]) * 4294967296
    if low == 0 then
        counts[#counts + 1] = raw('LLEN', wait) + raw('LLEN', paused)
    else
        counts[#counts + 1] = raw('ZCOUNT', prioritized, low, low + 4294967295)
    end
end
return counts
