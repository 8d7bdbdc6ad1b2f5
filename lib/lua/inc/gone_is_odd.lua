-- Whether the key `gone` of a group, which has how many events there were in entries that retention
-- took from its members, is of another type. It is for counts alone, so all goes on without it then.
local function gone_is_odd(gone)
    local size = try('HLEN', gone)
    return type(size) == 'table' and string.find(size.err, '^WRONGTYPE') ~= nil
end
