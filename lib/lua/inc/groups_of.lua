-- The groups of a log as tables by the names that Redis gives their fields: a list in the order
-- of their names, and by name. None when there is no log.
local function groups_of(log)
    local list, by_name = {}, {}
    if raw('EXISTS', log) == 1 then
        for i, fields in ipairs(raw('XINFO', 'GROUPS', log)) do
            local group = {}
            for j = 1, #fields, 2 do
                group[fields[j]] = fields[j + 1]
            end
            list[i], by_name[group.name] = group, group
        end
    end
    return list, by_name
end

-- How many members of a group were heard of within a minute. RELEASED is none: it has what was
-- given back.
local function members_of(log, group)
    local members = 0
    for _, fields in ipairs(raw('XINFO', 'CONSUMERS', log, group)) do
        local about = {}
        for i = 1, #fields, 2 do
            about[fields[i]] = fields[i + 1]
        end
        if about.name ~= RELEASED and about.idle < MEMBER_MS then
            members = members + 1
        end
    end
    return members
end
