-- What it takes to end a run that is another's: the token of its lock, the job's options, stack
-- traces and attempts made, and 1 if metrics are kept, else 0. A run that has lost its lock is
-- locked with `token`, so that nobody else begins one meanwhile. For a job that is not active only
-- its state ('' for none).
--@keys active metrics:completed metrics:failed
--@args base id token lock_ms
--@include find_state is_job
local key = base .. id
if not is_job(key) then
    return NO_JOB
end
if not raw('LPOS', active, id, 'RANK', '-1') then
    return find_state(base, id) or ''
end
local held = raw('GET', key .. ':lock')
if not held then
    call('SET', key .. ':lock', token, 'PX', lock_ms)
end
local f = raw('HMGET', key, 'opts', 'stacktrace', 'atm')
return { held or token, f[1] or '', f[2] or '', f[3] or '',
    raw('EXISTS', metrics_completed, metrics_failed) > 0 and 1 or 0 }
