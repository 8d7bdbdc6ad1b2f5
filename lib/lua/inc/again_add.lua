--@include groups_of group_make must_be_allowed
-- Has an event run once more in a group alone. `alone`: '1' when it is to run by itself.
local function again_add(again, group, position, event, alone)
    must_be_allowed('XDEL', again)
    local _, groups = groups_of(again)
    if not groups[group] then
        group_make(again, group, '0')
    end
    if alone == '1' then
        call('XADD', again, '*', 'e', event, 'p', position, 'a', '1')
    else
        call('XADD', again, '*', 'e', event, 'p', position)
    end
end
