--@include must_be_allowed
-- Takes what stands at `indexes` out of the list `key`, with one walk from the end that it is
-- near (1 head, -1 tail). What is written over it for that is nobody's id: should it ever be
-- left behind, BullMQ and Ox pass over it like over the markers of BullMQ before 5.0.
-- `ids` are what stands there, for the case that it has to come back.
local function drop_at(key, indexes, from, ids)
    if #indexes == 0 then
        return
    end
    must_be_allowed(from > 0 and 'LPUSH' or 'RPUSH', key)
    must_be_allowed('LTRIM', key)
    must_be_allowed('LREM', key)
    local note = { 'places', key = key, from = from, ids = ids, indexes = indexes, marked = 0 }
    undo[#undo + 1] = note
    for i, at in ipairs(indexes) do
        raw('LSET', key, at, '0:removed')
        note.marked = i
    end
    raw('LREM', key, from * #indexes, '0:removed')
    note.gone = true
end
