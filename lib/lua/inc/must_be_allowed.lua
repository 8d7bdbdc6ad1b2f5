-- Fails when the user may not do `command` to `key`, which would be needed to take back a change.
-- (What follows DEL are keys, so it is asked about without more.)
local function must_be_allowed(command, key)
    if not may then
        return
    end
    local allowed = command == 'DEL' and may(command, key) or
        command ~= 'DEL' and may(command, key, '1')
    if not allowed then
        parts = parts or make_parts()
        parts.must_be_allowed(command, key)
    end
end
