-- Takes what stands at `indexes` out of the list `key`, with one walk from the end that it is
-- near (1 head, -1 tail). What is written over it for that is nobody's id: should it ever be
-- left behind, BullMQ and Ox pass over it like over the markers of BullMQ before 5.0.
local function drop_at(key, indexes, from)
    for _, at in ipairs(indexes) do
        call('LSET', key, at, '0:removed')
    end
    if #indexes > 0 then
        call('LREM', key, from * #indexes, '0:removed')
    end
end
