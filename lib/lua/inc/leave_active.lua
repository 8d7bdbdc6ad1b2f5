-- Takes `ids` out of the list `active`. Answers nil when all of them were there; else
-- `gone[id]` is true for those that were.
--
-- Jobs that end together stood together, near the tail: one look at the tail, twice as long as
-- the batch, finds most of them, and the ones that stay are put back in their order. What is
-- not there was overtaken by longer jobs, and is sought from the head.
local function leave_active(active, ids)
    local count, gone = #ids, {}
    if count <= 2 then
        for _, id in ipairs(ids) do
            gone[id] = call('LREM', active, '-1', id) == 1
        end
        return gone
    end
    -- A worker that has the queue to itself ends what is at the very tail, oldest first.
    local tail = call('LRANGE', active, -count, -1)
    local same = #tail == count and count or 0
    while same > 0 and tail[same] == ids[count + 1 - same] do
        same = same - 1
    end
    if same == 0 and #tail == count then
        call('LTRIM', active, 0, -1 - count)
        return nil
    end
    local mine = {}
    for i = 1, count do
        mine[ids[i]] = true
    end
    tail = call('LRANGE', active, -2 * count, -1)
    local stay = {}
    for i = 1, #tail do
        local id = tail[i]
        if mine[id] then
            mine[id] = nil
            gone[id] = true
        else
            stay[#stay + 1] = id
        end
    end
    if #stay < #tail then
        call('LTRIM', active, 0, -1 - #tail)
        if #stay > 0 then
            call('RPUSH', active, unpack(stay))
        end
    end
    for id in pairs(mine) do
        gone[id] = call('LREM', active, '1', id) == 1
    end
    return gone
end
