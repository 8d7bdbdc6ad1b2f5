--@include emit
-- Whether a job that has stalled so often may have attempts left. (In the text of its options,
-- which may be more than a strict reader takes, a quote within a string has a backslash.)
local function has_attempts(key, times)
    local f = call('HMGET', key, 'opts', 'atm')
    local attempts = f[1] and string.match(f[1], '[{,]"attempts":(%d+)')
    return attempts and tonumber(attempts) > times + (tonumber(f[2]) or 0)
end

-- Lets a job that stalled wait again, before all others. Answers whether it stalled once too
-- often; then its next take fails it. A start that was to be written late (see inc/open_run.lua)
-- counts all the same.
local function stall(q, id, max)
    local key = q.base .. id
    local f = raw('HMGET', key, 'stc', 'ats')
    local times = (tonumber(f[1]) or 0) + 1
    call('HSET', key, 'stc', string.format('%.0f', times), 'ats', f[2] or '1')
    -- Attempts are counted against stalls here, though a stall is not written as one (`atm`): so
    -- a job that has some left runs again. (Also a scheduler's job fails: whoever takes it makes
    -- the next one before.)
    local over = max >= 0 and times > max and not has_attempts(key, times)
    if over then
        call('HSET', key, 'defa', 'job stalled more than allowable limit')
    end
    call('RPUSH', q.list, id)
    emit(q, 'waiting', 'jobId', id, 'prev', 'active')
    emit(q, 'stalled', 'jobId', id)
    return over
end
