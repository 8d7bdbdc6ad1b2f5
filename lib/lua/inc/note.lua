--@include must_be_allowed
-- Notes a command that takes back a write, done with `raw` or about to be.
local function note(command, key, ...)
    must_be_allowed(command, key)
    undo[#undo + 1] = { command, key, ... }
end
