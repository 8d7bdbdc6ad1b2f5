--@include must_be_allowed
-- Makes a group at a place, and its stream where there is none.
local function group_make(stream, group, place)
    if raw('EXISTS', stream) == 0 then
        must_be_allowed('DEL', stream)
        undo[#undo + 1] = { 'DEL', stream }
    end
    raw('XGROUP', 'CREATE', stream, group, place, 'MKSTREAM')
    undo[#undo + 1] = { 'XGROUP', 'DESTROY', stream, group }
end
