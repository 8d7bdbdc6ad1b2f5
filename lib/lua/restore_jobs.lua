-- Looks through one page of the server's keys for jobs of the queue that are in no state, and puts
-- them back. Answers with the cursor of the next page, '0' after the last one, and what
-- restore_orphans() says.
--@keys meta
--@args base flags now max_stalled cursor
--@include queue_at orphans
if call('EXISTS', meta) == 0 then -- the queue is gone, and must not come back
    return { '0' }
end
local pattern = string.gsub(base, '[%*%?%[%]\\]', '\\%0') .. '*'
local page = call('SCAN', cursor, 'MATCH', pattern, 'COUNT', '500', 'TYPE', 'hash')
local answer, ids = { page[1] }, {}
for _, key in ipairs(page[2]) do
    local id = string.sub(key, #base + 1)
    if not string.find(id, ':', 1, true) or string.sub(id, 1, 7) == 'repeat:' then
        ids[#ids + 1] = id
    end
end
restore_orphans(queue_at(base, flags), ids, tonumber(max_stalled), tonumber(now), answer)
return answer
