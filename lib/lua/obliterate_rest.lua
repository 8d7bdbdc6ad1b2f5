-- Deletes what a queue without jobs has left, by the suffixes that a scan found: jobs that are
-- in no state, their parts, deduplication ids; the settings only with `last`. Answers with 1,
-- and deletes nothing, when there are jobs again.
--
-- Another queue may lie below this one's base: prefix "bull:a" and queue "b" below prefix "bull"
-- and queue "a". Its keys are told by their settings, "b:meta", and left alone. So are keys with
-- more colons than any queue's should have: each would be a look for settings.
--@keys meta wait paused active delayed prioritized waiting-children completed failed repeat
--@args base last
--@rest suffix
--@include drop_keys
if raw('EXISTS', wait, paused, active, delayed, prioritized, waiting_children, completed,
    failed, repeat_) > 0 then
    return 1
end
local known = {}

local function is_foreign(suffix)
    local at = string.find(suffix, ':', 1, true)
    for _ = 1, 32 do
        if not at then
            return false
        end
        local settings = base .. string.sub(suffix, 1, at) .. 'meta'
        if known[settings] == nil then
            known[settings] = raw('TYPE', settings)['ok'] == 'hash'
        end
        if known[settings] then
            return true
        end
        at = string.find(suffix, ':', at + 1, true)
    end
    return true
end

for i = first, #ARGV do
    if (ARGV[i] ~= 'meta' or last == '1') and not is_foreign(ARGV[i]) then
        drop_keys({ base .. ARGV[i] })
    end
end
return 0
