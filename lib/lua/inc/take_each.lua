--@include raise_if_passing
-- Goes on with a take of jobs that could not be started together: each by itself. One that cannot
-- (the user may not touch a key of it, or one has a wrong type) takes none along: it goes behind
-- those that wait, or stays among those of its priority, and is told. The next take that comes to
-- it tries it again. `at`: how much of `undo` was there before the take that failed with `why`.
--
-- `take_one` is take_some() of inc/take.lua with 1 for `want`. Answers with how many ids it looked
-- at, how many jobs it got, and what is refused: id and error in turn.
local function take_each(k, want, reply, at, why, take_one)
    parts = parts or make_parts()
    local size = undo[at + 1].at
    local function forget(mark, length, failure)
        local text = parts.take_back(mark, failure)
        for i = #reply, length + 1, -1 do
            reply[i] = nil
        end
        raise_if_passing(text)
        return text
    end
    local text = forget(at, size, why)
    local looked, got, refused = 0, 0, {}
    local behind, ranked = {}, {}

    -- What take_one() could not start is popped again, and kept until all others had their turn.
    local function set_aside(failure)
        local note = { 'takes', at = #reply, taken = {} }
        undo[#undo + 1] = note
        k.set_aside = true
        local id = raw('RPOP', k[1])
        if id then
            note.popped = { id }
            table.insert(behind, 1, id)
        else
            note.ranked = raw('ZPOPMIN', k[3])
            id = note.ranked[1]
            if not id then
                error(failure, 0)
            end
            ranked[#ranked + 1], ranked[#ranked + 2] = note.ranked[2], id
        end
        refused[#refused + 1] = id
        refused[#refused + 1] = { err = failure }
    end

    while got < want and looked < 100 do
        local mark, length = #undo, #reply
        local ok, seen, started = pcall(take_one)
        if ok and seen == 0 then
            break
        elseif ok then
            got = got + started
        else
            local note = undo[mark + 1]
            local is_job = note.popped and #note.popped > 0 or note.ranked and #note.ranked > 0
            text = forget(mark, length, seen)
            if not is_job then -- it has to do with no job in particular
                error(text, 0)
            end
            set_aside(text)
        end
        looked = looked + 1
    end
    if got == 0 and looked > 1 and #refused == 2 * looked then
        error(text, 0) -- not one of many could be started: it is no job's fault
    end
    if #behind > 0 then
        call('LPUSH', k[1], unpack(behind))
    end
    if #ranked > 0 then
        call('ZADD', k[3], unpack(ranked))
    end
    return looked, got, refused
end
