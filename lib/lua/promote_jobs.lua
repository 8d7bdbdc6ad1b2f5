-- Lets up to `limit` delayed jobs run now, the earliest first. Answers with how many ids left
-- `delayed`, how many of them are jobs, and how many are left.
--@keys delayed
--@args base flags max_events limit
--@include queue_at promote trim_events
local ids = raw('ZRANGE', delayed, 0, limit - 1)
local count = 0
if #ids > 0 then
    local q = queue_at(base, flags)
    call('ZREM', delayed, unpack(ids))
    for _, id in ipairs(ids) do
        if promote(q, id) then
            count = count + 1
        end
    end
    trim_events(base, max_events)
end
return { #ids, count, raw('ZCARD', delayed) }
