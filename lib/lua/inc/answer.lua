-- The last words of every script, see inc/undo.lua: `answer` if it is `ok`, else the error.
if ok and parts then
    ok, answer = pcall(function()
        parts.commit()
        return answer
    end)
end
if ok then
    return answer
end
parts = parts or make_parts()
return { err = parts.take_back(0, answer) }
