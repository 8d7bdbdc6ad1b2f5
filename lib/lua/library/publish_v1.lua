-- A Redis function for publishers without Ox: FCALL ox_publish_v1 1 E EVENT...; see
-- docs/events-layout.md. It checks what the library checks, makes packs, calls the script that
-- publishes, and answers for each event with its position and how many jobs were made, or
-- 'duplicate'.
--@library publish_events

local function is_number(token)
    local whole, rest = string.match(token, '^%-?(%d+)(.*)$')
    rest = string.gsub(string.gsub(rest or '?', '^%.%d+', ''), '^[eE][+-]?%d+', '')
    return rest == '' and (whole == '0' or string.sub(whole, 1, 1) ~= '0')
end

-- cjson takes what others do not: NaN, 0x10, 01, control characters in a text.
local function is_strict(text)
    local bare = string.gsub(string.gsub(text, '\\.', ''), '"[^"%z\1-\31]*"', '')
    for token in string.gmatch(bare, '[^%[%]{},:%s]+') do
        if token ~= 'true' and token ~= 'false' and token ~= 'null' and not is_number(token) then
            return false
        end
    end
    return true
end

-- Why an event cannot be published, or nil; else its type, and its key as the script wants it.
local function read_event(text)
    local ok, event = pcall(cjson.decode, text)
    if not ok or type(event) ~= 'table' or string.sub(text, 1, 1) ~= '{' or
        not is_strict(text) then
        return 'it is not a JSON object'
    end
    if string.find(text, '\n', 1, true) then
        return 'it has line feeds'
    end
    if event.specversion ~= '1.0' then
        return 'specversion must be "1.0"'
    end
    for _, name in ipairs({ 'id', 'source', 'type', 'time' }) do
        local value = event[name]
        if type(value) ~= 'string' or value == '' or string.find(value, '[%z\1-\31\127]') then
            return name .. ' must be a string that is not empty, without control characters'
        end
    end
    if #event.type > 255 or not string.find('.' .. event.type, '^[%w_.-]+$') or
        string.find('.' .. event.type .. '.', '..', 1, true) or
        select(2, string.gsub(event.type, '%.', '')) > 15 then
        return 'type must be segments of A-Z, a-z, 0-9, \'_\' and \'-\', joined by \'.\''
    end
    if string.find(event.source, "[^%w%-._~:/?#%[%]@!$&'()*+,;=%%]") then
        return 'source is not a URI reference'
    end
    if not string.find(event.time, '^%d%d%d%d%-%d%d%-%d%d[Tt]%d%d:%d%d:%d%d') then
        return 'time is not a time such as 2026-11-29T08:50:00Z'
    end
    if event.data ~= nil and event.data_base64 ~= nil then
        return 'it has both data and data_base64'
    end
    for name in pairs(event) do
        if name ~= 'data_base64' and not string.find(name, '^[a-z0-9]+$') then
            return 'the attribute ' .. name .. ': names have only a-z and 0-9'
        end
    end
    return nil, event.type, '1' .. redis.sha1hex(event.source .. '\0' .. event.id)
end

-- The arguments of the script; or the error.
local function make_call(prefix, stream, events)
    local argv, largest = { 'e', '10000', prefix, stream, '0', '', '1', '0' }, 0
    local keys, types, lines, size = {}, {}, {}, 0
    local function put_pack()
        for _, part in ipairs({ #lines, table.concat(keys, ','), table.concat(types, ','),
            table.concat(lines, '\n'), '' }) do
            argv[#argv + 1] = tostring(part)
        end
        keys, types, lines, size = {}, {}, {}, 0
    end
    for i, text in ipairs(events) do
        local why, event_type, key = read_event(text)
        if why then
            return nil, 'event ' .. i .. ' of ' .. #events .. ': ' .. why
        end
        if size > 0 and size + #text > 4096 then
            put_pack()
        end
        keys[#keys + 1], types[#types + 1], lines[#lines + 1] = key, event_type, text
        size, largest = size + #text + 1, math.max(largest, #text)
    end
    put_pack()
    argv[8] = tostring(largest)
    return argv
end

local function refuse(text)
    return redis.error_reply('ERR ' .. text)
end

redis.register_function('ox_publish_v1', function(keys, events)
    local base = keys[1] or ''
    local prefix, stream = string.match(base, '^(.+)::ox:{([a-z0-9_-]+)}:$')
    if not prefix or #stream > 64 or #keys > 1 then
        return refuse('give one key, PREFIX::ox:{STREAM}: such as bull::ox:{events}:')
    end
    if #events < 1 or #events > 1000 then
        return refuse('give 1 to 1000 events')
    end
    local argv, why = make_call(prefix, stream, events)
    if why then
        return refuse(why)
    end
    local answer = publish_events({ base .. 'log', base .. 'info', base .. 'binds',
        base .. 'routes', base .. 'seen0', base .. 'seen1' }, argv)
    if type(answer) ~= 'table' then
        return refuse('stream ' .. stream .. ': its layout is of another version of Ox')
    end
    if answer.err then
        return answer
    end
    if answer[1] == TOO_LARGE then
        return refuse(string.format('an event is larger than %.0f bytes, the stream\'s max_event',
            answer[2]))
    end
    local all, number = {}, answer[2]
    for i = 1, #events do
        local item = answer[i + 3] or 0
        if type(item) == 'string' then
            all[i] = { item, 'duplicate' }
        else
            number = number + 1
            all[i] = { string.format('%.0f-%.0f', answer[1], number), item }
        end
    end
    return all
end)
