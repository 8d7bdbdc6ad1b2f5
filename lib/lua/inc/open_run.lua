-- The token of a run that was taken without a lock, as the worker says it until it has written one:
-- "@late:started:until:attempt:token". `late`: '0' when the start of the run is written; '1' when
-- `processedOn` and `ats` are not, of a job that had never run before; '2' when they are not, of one
-- that had: it begins when they are, so each later run leaves its mark. `until`: the server's time
-- up to which nobody can have taken the job for stalled. Answers with nothing for any other text.
local function open_run(text)
    if string.byte(text) == 64 then
        local late, started, till, attempt, token =
            string.match(text, '^@([012]):(%d+):(%d+):(%d+):(.*)$')
        return token, token and late ~= '0', started, tonumber(till), tonumber(attempt),
            late == '2'
    end
end
