-- The time of all that a script does, in ms and in us, as text: the server's, since the clocks of
-- workers differ. `otherwise` (ms), and no us, where the user may not call TIME.
local function server_now(otherwise)
    local time = try('TIME')
    local us = time[2]
    if not us then
        return otherwise, nil
    end
    if #us < 6 then
        us = string.rep('0', 6 - #us) .. us
    end
    return time[1] .. string.sub(us, 1, 3), time[1] .. us
end
