-- Fails when the user may not do `command` to `key`, which would be needed to take back a change.
local function must_be_allowed(command, key)
    if may and command ~= 'DEL' and may(command, key, '1') or not may then
        return
    end
    parts = parts or make_parts()
    parts.must_be_allowed(command, key)
end
