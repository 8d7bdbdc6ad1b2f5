--@include decode_json
-- By which bindings an event of a type makes jobs: for each queue the oldest that matches. They
-- are kept in the hash `routes`, for a thousand types.
local function route_find(binds, event_type)
    local found, by_queue = {}, {}
    for _, text in ipairs(raw('HVALS', binds)) do
        local bind = decode_json(text)
        local number, pattern, queue = tonumber(bind.n), bind.pattern, bind.queue
        if number and type(pattern) == 'string' and type(queue) == 'string' and
            string.find(queue, '^[^:]+$') then
            pattern = string.gsub(pattern, '[^%w*>]', '%%%0')
            pattern = string.gsub(string.gsub(pattern, '%*', '[^.]+'), '>$', '.+')
            local other = by_queue[queue]
            if string.find(event_type, '^' .. pattern .. '$') and
                (not other or other.number > number) then
                by_queue[queue] = { number = number, text = text }
            end
        end
    end
    for _, bind in pairs(by_queue) do
        found[#found + 1] = bind
    end
    table.sort(found, function(a, b) return a.number < b.number end)
    for i = 1, #found do
        found[i] = found[i].text
    end
    return '[' .. table.concat(found, ',') .. ']'
end

local function route(binds, routes, event_type)
    local text = raw('HGET', routes, event_type)
    if not text then
        text = route_find(binds, event_type)
        if raw('HLEN', routes) < 1000 then
            call('HSET', routes, event_type, text)
        end
    end
    return decode_json(text)
end
