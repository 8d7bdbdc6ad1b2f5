-- The token of a run that was taken without a lock, as the worker says it until it has written one:
-- "@late:started:until:token". `late`: '1' when `processedOn` and `ats` are not written either,
-- which is so only in the first run of a job: so each later one leaves its mark when it is taken.
-- `until`: the server's time up to which nobody can have taken the job for stalled. Answers with
-- the token, and these; with nothing for any other text.
local function open_run(text)
    if string.byte(text) == 64 then
        local late, started, till, token = string.match(text, '^@([01]):(%d+):(%d+):(.*)$')
        return token, late == '1', started, tonumber(till)
    end
end
