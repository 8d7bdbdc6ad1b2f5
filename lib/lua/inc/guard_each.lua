-- What a script does that ends many runs and then takes (`--@each`), when that has failed. It runs
-- as main(only): all runs when that is nil, the run of that number, or, when 0, none, and only
-- takes; it counts its `runs`, how many have `ended` and how many of these are `done` with. What all of them together could not do, each tries by itself: one
-- that fails stays as it was, and the text of the error is its refusal. A failure behind them is in
-- the place of what was taken, and the token (of inc/take.lua) follows.
local function try_each()
    local refused = {}
    local function attempt(only)
        local before, over = ended, done
        local ok, answer = guarded(main, only)
        if not ok then
            raise_if_passing(answer)
            ended, done = before, over
        end
        return ok, answer
    end
    for i = 1, runs do
        local ok, answer = attempt(i)
        if not ok then
            refused[#refused + 1] = i
            refused[#refused + 1] = { err = answer }
        elseif #answer[1] > 0 then
            refused[#refused + 1] = i
            refused[#refused + 1] = answer[1][2]
        end
    end
    local ok, answer = attempt(0)
    local taken = ok and answer[2] or { err = answer }
    return { refused, taken, taken.err and ARGV[6] }
end

parts = parts or make_parts()
answer = parts.take_back(0, answer)
ended, done = 0, 0
ok, answer = guarded(function()
    raise_if_passing(answer)
    return try_each()
end)
