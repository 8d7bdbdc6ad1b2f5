--@include take whole
-- The end of a script that ended `left` runs: takes, says so when the queue has run dry
-- (`may_drain`), and tells other workers of slots that are free in a queue that was full.
local function take_or_drain(k, w, now, clock, want, set, left, may_drain)
    local blocked, most = set[1] and true or false, set[2] and whole(set[2])
    if most and not blocked then
        blocked = raw('LLEN', k[2]) >= most
    end
    local taken = { 0, 0, '0', '0', w[6] }
    if want > 0 then
        taken = take(k, w, now, clock, want, set)
    end
    if may_drain and taken[1] == 0 and taken[2] == 0 and taken[3] == '0' and not blocked and
        raw('LLEN', k[1]) == 0 and raw('LLEN', k[2]) == 0 and
        raw('ZCARD', k[3]) == 0 then
        raw('XADD', k[9], '*', 'event', 'drained')
    end
    if most and not set[1] and left > taken[1] and
        raw('EXISTS', k[1], k[3]) > 0 then
        raw('ZADD', k[7], '0', '0')
    end
    return taken
end

-- take_or_drain(), when the ends before it are written and what they delete is gone. So they
-- stand: what fails from here on takes back the take alone, and is in its place.
local function take_behind_ends(k, w, now, clock, want, set, left, may_drain)
    if left == 0 then
        return take_or_drain(k, w, now, clock, want, set, left, may_drain)
    end
    for i = #undo, 1, -1 do
        undo[i] = nil
    end
    local ok, taken = pcall(take_or_drain, k, w, now, clock, want, set, left, may_drain)
    if not ok then
        parts = parts or make_parts()
        taken = { err = parts.take_back(0, taken) }
    end
    return taken
end
