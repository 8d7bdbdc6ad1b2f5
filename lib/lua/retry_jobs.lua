-- Lets up to `limit` jobs run again that finished in `state` at or before `before`, oldest
-- first. Answers with how many ids left the state, how many of them run, and how many are left.
--@args base flags max_events state before limit
--@include queue_at run_again trim_events is_job
local target = base .. state
local ids = raw('ZRANGEBYSCORE', target, '-inf', before, 'LIMIT', 0, limit)
local count = 0
if #ids > 0 then
    local q = queue_at(base, flags)
    call('ZREM', target, unpack(ids))
    for _, id in ipairs(ids) do
        if is_job(base .. id) then
            run_again(q, id, state, {})
            count = count + 1
        end
    end
    trim_events(base, max_events)
end
return { #ids, count, raw('ZCOUNT', target, '-inf', before) }
