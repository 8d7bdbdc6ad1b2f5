-- The children of a job, by what became of them.
--@args base id
local key = base .. id
if call('EXISTS', key) == 0 then
    return -1
end
return { call('HGETALL', key .. ':processed'), call('SMEMBERS', key .. ':dependencies'),
    call('HGETALL', key .. ':failed'), call('ZRANGE', key .. ':unsuccessful', 0, -1) }
