-- Where a job is: the suffix of the key that holds its id, or nil. In the order in which
-- section 3 of the layout looks; the checks that cost nothing come first.
local function find_state(base, id)
    for _, suffix in ipairs({ 'completed', 'failed', 'delayed', 'prioritized' }) do
        if raw('ZSCORE', base .. suffix, id) then
            return suffix
        end
    end
    for _, suffix in ipairs({ 'active', 'wait', 'paused' }) do
        if raw('LPOS', base .. suffix, id) then
            return suffix
        end
    end
    if raw('ZSCORE', base .. 'waiting-children', id) then
        return 'waiting-children'
    end
end
