-- The token of a run that was taken without a lock, as the worker says it until it has written one:
-- "@late:started:until:stalls:token". `late`: '1' when `processedOn` and `ats` are not written
-- either; `until`: the server's time up to which nobody can have taken the job for stalled;
-- `stalls`: how often it had stalled. Answers with the token, and these; with nothing for any other
-- text.
local function open_run(text)
    if string.byte(text) == 64 then
        local late, started, till, stalls, token =
            string.match(text, '^@([01]):(%d+):(%d+):(%d+):(.*)$')
        return token, late == '1', started, tonumber(till), tonumber(stalls)
    end
end
