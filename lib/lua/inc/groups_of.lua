-- What XINFO says of each of some things, as tables by the names that Redis gives the fields.
local function tables_of(rows)
    local list = {}
    for i, fields in ipairs(rows) do
        list[i] = {}
        for j = 1, #fields, 2 do
            list[i][fields[j]] = fields[j + 1]
        end
    end
    return list
end

-- The groups of a log: a list in the order of their names, and by name. None when there is no log.
local function groups_of(log)
    local by_name = {}
    local list = raw('EXISTS', log) == 1 and tables_of(raw('XINFO', 'GROUPS', log)) or {}
    for _, group in ipairs(list) do
        by_name[group.name] = group
    end
    return list, by_name
end

-- How many members of a group were heard of within a minute. RELEASED is none: it has what was
-- given back.
local function members_of(log, group)
    local members = 0
    for _, about in ipairs(tables_of(raw('XINFO', 'CONSUMERS', log, group))) do
        if about.name ~= RELEASED and about.idle < MEMBER_MS then
            members = members + 1
        end
    end
    return members
end
