--@include leave_all
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

-- Takes `ids`, more than two, out of the list `active`, when they are not its very tail; `tail` is
-- as much of that.
local function leave_some(active, ids, gone, tail)
    local mine, near, count = {}, false, #ids
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
end
