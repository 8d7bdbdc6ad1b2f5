-- Deletes keys when all else is done, with commit() or at the end of the script.
local function drop_keys(keys)
    parts = parts or make_parts()
    parts.drop(keys)
end

local function commit()
    if parts then
        parts.commit()
    end
end
