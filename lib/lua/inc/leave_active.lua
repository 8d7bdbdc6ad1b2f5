--@rare leave_all
--@include must_be_allowed
-- Looks for `mine` in a part of the list `active` that is its head, when `window` is positive, or
-- its tail: as many elements as it says. What is found is taken out and noted in `gone`, the ones
-- that stay are put back in their order.
local function sift(active, mine, gone, window)
    local at_head = window > 0
    local part = raw('LRANGE', active, at_head and 0 or window, at_head and window - 1 or -1)
    local stay, found = {}, {}
    for i = 1, #part do
        local id = part[i]
        local some = mine[id] and found or stay
        mine[id] = nil
        some[#some + 1] = id
    end
    if #found == 0 then
        return
    end
    if at_head then
        raw('LTRIM', active, #part, -1)
        for i = 1, math.floor(#stay / 2) do
            stay[i], stay[#stay + 1 - i] = stay[#stay + 1 - i], stay[i]
        end
    else
        raw('LTRIM', active, 0, -1 - #part)
    end
    for i = 1, #found do
        gone[found[i]] = true
    end
    if #stay > 0 then
        local put = at_head and 'LPUSH' or 'RPUSH'
        undo[#undo + 1] = { put, active, unpack(stay) }
        raw(put, active, unpack(stay))
        undo[#undo] = nil
    end
end

-- Takes `ids` out of the list `active`. Answers nil when all of them were there; else
-- `gone[id]` is true for those that were.
--
-- Jobs that end together stood together: near the tail, where the oldest are, or, if others have
-- many that take longer, near the head. One look at each, twice as long as the batch, finds most
-- of them. The rest was overtaken by some, and is sought from the head.
--
-- The caller has noted what takes this back, by `gone`; gone[1]: all.
local function leave_active(active, ids, gone)
    local count = #ids
    must_be_allowed('RPUSH', active)
    if count <= 2 then
        for _, id in ipairs(ids) do
            gone[id] = raw('LREM', active, '-1', id) == 1
        end
        return gone
    end
    must_be_allowed('LTRIM', active)
    must_be_allowed('LPUSH', active)
    -- A worker that has the queue to itself ends what is at the very tail, oldest first.
    local tail = raw('LRANGE', active, -count, -1)
    local same = #tail == count and count or 0
    while same > 0 and tail[same] == ids[count + 1 - same] do
        same = same - 1
    end
    if same == 0 and #tail == count then
        raw('LTRIM', active, 0, -1 - count)
        gone[1] = true
        return nil
    end
    local mine, near = {}, false
    for i = 1, count do
        mine[ids[i]] = true
    end
    for i = 1, #tail do
        near = near or mine[tail[i]]
    end
    if near then
        sift(active, mine, gone, -2 * count)
    end
    if next(mine) then
        sift(active, mine, gone, 2 * count)
    end
    if next(mine) then
        leave_all(active, mine, gone)
    end
    return gone
end
