--@include raise_if_passing
-- Goes on with a take of jobs that could not be started together: each by itself. One that cannot
-- (the user may not touch a key of it, or one has a wrong type) takes none along: it goes behind
-- those that wait, or stays among those of its priority, and is told. The next take that comes to
-- it tries it again. `at`: how much of `undo` was there before the take that failed with `why`.
--
-- Answers with how many ids it `looked` at, how many it `got`, and what is `refused`: id and error
-- in turn.
local function take_each(k, want, reply, at, why, new_note, take_one)
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
    local sum = { looked = 0, got = 0, refused = {} }
    local behind, ranked = {}, {}

    -- What take_one() could not start is popped again, and kept until all others had their turn.
    local function set_aside(failure)
        local note = new_note(reply)
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
        sum.refused[#sum.refused + 1] = id
        sum.refused[#sum.refused + 1] = { err = failure }
    end

    while sum.got < want and sum.looked < 100 do
        local mark, length = #undo, #reply
        local note = new_note(reply)
        local ok, failure = pcall(take_one, note)
        if ok and note.looked == 0 then
            break
        elseif ok then
            sum.got = sum.got + note.got
        else
            local is_job = note.popped and #note.popped > 0 or note.ranked and #note.ranked > 0
            text = forget(mark, length, failure)
            if not is_job then -- it has to do with no job in particular
                error(text, 0)
            end
            set_aside(text)
        end
        sum.looked = sum.looked + 1
    end
    if sum.got == 0 and sum.looked > 1 and #sum.refused == 2 * sum.looked then
        error(text, 0) -- not one of many could be started: it is no job's fault
    end
    if #behind > 0 then
        call('LPUSH', k[1], unpack(behind))
    end
    if #ranked > 0 then
        call('ZADD', k[3], unpack(ranked))
    end
    return sum
end
