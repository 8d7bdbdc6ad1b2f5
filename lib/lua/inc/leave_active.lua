-- Takes `ids` out of the list `active`; `gone[id]` is true for those that were there.
--
-- Jobs that end together stood together, near the tail: one look at the tail, twice as long as
-- the batch, finds most of them, and the ones that stay are put back in their order. What is
-- not there was overtaken by longer jobs, and is sought from the head.
local function leave_active(active, ids)
    local gone = {}
    if #ids <= 2 then
        for _, id in ipairs(ids) do
            gone[id] = call('LREM', active, -1, id) == 1
        end
        return gone
    end
    local mine = {}
    for i = 1, #ids do
        mine[ids[i]] = true
    end
    -- A worker that has the queue to itself ends what is at the very tail.
    local tail = call('LRANGE', active, -#ids, -1)
    local all = #tail == #ids
    for i = 1, #tail do
        all = all and mine[tail[i]]
    end
    if all then
        call('LTRIM', active, 0, -1 - #ids)
        return mine
    end
    tail = call('LRANGE', active, -2 * #ids, -1)
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
        gone[id] = call('LREM', active, 1, id) == 1
    end
    return gone
end
