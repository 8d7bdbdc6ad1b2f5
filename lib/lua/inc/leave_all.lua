--@include must_be_allowed
-- Takes what is in `mine` out of the list `active`, wherever it stands, and notes it in `gone`:
-- a few by a walk for each, more by one reading of the list.
local function leave_all(active, mine, gone)
    local left, indexes = 0, {}
    for _ in pairs(mine) do
        left = left + 1
    end
    if left <= 8 then
        for id in pairs(mine) do
            gone[id] = raw('LREM', active, '1', id) == 1
        end
        return
    end
    must_be_allowed('LSET', active)
    must_be_allowed('LREM', active)
    local at = 0
    repeat
        local part = raw('LRANGE', active, at, at + 999)
        for i = 1, #part do
            if mine[part[i]] then
                mine[part[i]], gone[part[i]] = nil, true
                indexes[#indexes + 1] = at + i - 1
            end
        end
        at = at + #part
    until #part < 1000 or #indexes == left
    -- As drop_at does; `gone` takes it back.
    for _, index in ipairs(indexes) do
        raw('LSET', active, index, '0:removed')
    end
    raw('LREM', active, #indexes, '0:removed')
end
