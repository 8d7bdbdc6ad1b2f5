--@include route queue_at add_job push trim_events whole
-- Adds a job to each queue that is bound to the type of an event; but for those with `first`,
-- which were published before. `packs` as in publish_events.lua; each event gets the number of its
-- `jobs`. `to` has the time of the positions (`ms`) and of the server (`now`), the prefix, and
-- keys. Answers with how many jobs were made.
local function event_jobs(packs, to)
    local queues, total, time = {}, 0, string.format('%.0f', to.ms)

    -- One job of an event, by a binding of its type.
    local function add(bind, event, text)
        local name = bind.queue
        local queue = queues[name]
        if not queue then
            queue = { q = queue_at(to.prefix .. ':' .. name .. ':', to.flags), later = {}, count = 0 }
            queues[#queues + 1], queues[name] = name, queue
        end
        local delay, priority = whole(bind.delay) or 0, whole(bind.priority) or 0
        local made = add_job(queue.q, {
            id = 'ev-' .. event.key,
            name = type(bind.name) == 'string' and bind.name or event.type,
            data = text,
            opts = type(bind.opts) == 'string' and bind.opts or '{}',
            timestamp_text = time, delay_text = string.format('%.0f', delay),
            priority_text = string.format('%.0f', priority),
            timestamp = to.now, delay = delay, priority = priority, counted = true,
        }, bind.lifo == 1 and ADD_LIFO or '', time, queue.later)
        queue.count = queue.count + 1
        if type(made) == 'string' then
            event.jobs, total = event.jobs + 1, total + 1
        end
    end

    -- Runs f(...); its error is raised with the name of the queue.
    local function for_queue(name, f, ...)
        local ok, why = pcall(f, ...)
        if not ok then
            why = string.gsub(type(why) == 'table' and why.err or tostring(why),
                '^@?user_%a+:%s*%d+:%s*%-?', '')
            local code, text = string.match(why, '^(%u+) (.*)$')
            error((code or 'ERR') .. ' queue ' .. name .. ': ' .. (text or why), 0)
        end
    end

    local function finish(queue)
        call('INCRBY', queue.q.base .. 'id', queue.count)
        if #queue.later > 0 then
            push_all(queue.q, queue.later)
        end
        trim_events(queue.q.base, to.max_events)
    end

    local by_type = {}
    for _, pack in ipairs(packs) do
        local next_line = string.gmatch(pack.text, '[^\n]+')
        for _, event in ipairs(pack) do
            local text = next_line()
            local way = by_type[event.type] or
                not event.first and route(to.binds, to.routes, event.type)
            by_type[event.type] = way
            for _, bind in ipairs(not event.first and way or {}) do
                for_queue(bind.queue, add, bind, event, text)
            end
        end
    end
    for _, name in ipairs(queues) do
        for_queue(name, finish, queues[name])
    end
    return total
end
