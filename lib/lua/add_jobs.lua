-- Adds jobs of every kind, in order; answers for each with its id, a refusal, or {id, n} when no
-- job was made: 1 a job has that id, 2 the job `id` holds the deduplication id. A batch of
-- plain jobs has a script of its own, add_plain.
--
-- One that fails is not added, and its answer is the text of the error.
--
-- A job is eight arguments and what its kind asks for: 'l' lifo, 'w' waits for children,
-- 'd' deduplication (id, ttl, modes), 'p' parent (key, JSON), 'f' part of a
-- flow: parents are released when the whole flow is in.
--@keys id meta completed waiting-children
--@args base flags max_events now
--@rest kind job_id name data opts timestamp delay priority
--@include queue_at trim_events add_job raise_if_passing
local q = queue_at(base, flags)

local results = {}
local written = false
local i = first
while i <= #ARGV do
    local kind = ARGV[i]
    local job = {
        id = ARGV[i + 1],
        name = ARGV[i + 2],
        data = ARGV[i + 3],
        opts = ARGV[i + 4],
        timestamp_text = ARGV[i + 5],
        delay_text = ARGV[i + 6],
        priority_text = ARGV[i + 7],
        timestamp = tonumber(ARGV[i + 5]),
        delay = tonumber(ARGV[i + 6]),
        priority = tonumber(ARGV[i + 7]),
    }
    i = i + 8
    if string.find(kind, ADD_DEDUP, 1, true) then
        job.de = { id = ARGV[i], ttl = tonumber(ARGV[i + 1]), modes = ARGV[i + 2] }
        i = i + 3
    end
    if string.find(kind, ADD_PARENT, 1, true) then
        job.parent_key, job.parent = ARGV[i], ARGV[i + 1]
        i = i + 2
    end
    local ok, result = guarded(add_job, q, job, kind, now)
    if ok then
        written = written or result ~= NO_PARENT
    else
        raise_if_passing(result)
        result = { err = result }
    end
    results[#results + 1] = result
end
if written then -- a refused child leaves no trace of the queue it was meant for
    trim_events(base, max_events)
end
return results
