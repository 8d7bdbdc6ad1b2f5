-- True for the job that is its scheduler's current iteration: without it the schedule stops.
local function scheduler_current(base, id)
    if string.sub(id, 1, 7) ~= 'repeat:' then
        return false
    end
    local scheduler = raw('HGET', base .. id, 'rjk')
    local at = scheduler and raw('ZSCORE', base .. 'repeat', scheduler)
    return at and id == 'repeat:' .. scheduler .. ':' .. at
end
