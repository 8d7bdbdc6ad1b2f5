-- Notes a command that takes back a write, done with `raw` or about to be.
local function note(...)
    parts = parts or make_parts()
    parts.note(...)
end
