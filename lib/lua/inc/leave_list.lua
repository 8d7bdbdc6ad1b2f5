--@include drop_at
-- Takes those of `ids` that stand in the list `key` out of it. Answers found[id]: true, false
-- where there is none, or nil when it was not looked for: a walk to an id costs as much as the
-- list is long, and may be done while `work.left` is not used up (the first one always is).
-- What was added together stands together, so a walk mostly finds many.
local function leave_list(key, ids, work)
    local size, found = raw('LLEN', key), {}
    if #ids == 1 or size * #ids < 30000 then
        work.left = work.left - size
        for _, id in ipairs(ids) do
            found[id] = size > 0 and call('LREM', key, 1, id) > 0
        end
        return found
    end
    local wanted, indexes, standing = {}, {}, {}
    for _, id in ipairs(ids) do
        wanted[id] = true
    end
    for i, id in ipairs(ids) do
        if wanted[id] and i > 1 and work.left <= 0 then
            break
        elseif wanted[id] then
            work.left = work.left - size - 20000
            local at = raw('LPOS', key, id)
            local from = at and math.max(at - 500, 0)
            for j, near in ipairs(at and raw('LRANGE', key, from, at + 500) or {}) do
                if wanted[near] then
                    wanted[near], found[near] = nil, true
                    indexes[#indexes + 1] = from + j - 1
                    standing[#indexes] = near
                end
            end
            found[id] = found[id] or false
        end
    end
    drop_at(key, indexes, 1, standing)
    return found
end
