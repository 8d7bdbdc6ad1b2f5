--@rare leave_some
--@include must_be_allowed
-- Takes `ids` out of the list `active`. Answers nil when all of them were there; else
-- `gone[id]` is true for those that were.
--
-- Jobs that end together stood together: near the tail, where the oldest are, or, if others have
-- many that take longer, near the head. One look at each, twice as long as the batch, finds most
-- of them. The rest was overtaken by some, and is sought from the head.
--
-- The caller has noted what takes this back, by `gone`; gone[1]: all.
local function leave_active(active, ids, gone)
    local count = #ids
    must_be_allowed('RPUSH', active)
    if count <= 2 then
        for i = 1, count do
            gone[ids[i]] = raw('LREM', active, '-1', ids[i]) == 1
        end
        return gone
    end
    must_be_allowed('LTRIM', active)
    must_be_allowed('LPUSH', active)
    -- A worker that has the queue to itself ends what is at the very tail, oldest first.
    local tail = raw('LRANGE', active, -count, -1)
    local same = #tail == count and count or 0
    while same > 0 and tail[same] == ids[count + 1 - same] do
        same = same - 1
    end
    if same == 0 and #tail == count then
        raw('LTRIM', active, 0, -1 - count)
        gone[1] = true
        return nil
    end
    leave_some(active, ids, gone, tail)
    return gone
end
