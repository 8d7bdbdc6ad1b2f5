-- The time of all that a script does, in ms and in us, as text: the server's, since the clocks of
-- workers differ. `known` (ms) and no us if that is off by no more than `error_ms`, which is not
-- negative then, or where the user may not call TIME. (To ask costs as much as to start a job.)
local function server_now(known, error_ms)
    if error_ms ~= '-1' then
        return known, nil
    end
    local time = try('TIME')
    local us = time[2]
    if not us then
        return known, nil
    end
    if #us < 6 then
        us = string.rep('0', 6 - #us) .. us
    end
    return time[1] .. string.sub(us, 1, 3), time[1] .. us
end
