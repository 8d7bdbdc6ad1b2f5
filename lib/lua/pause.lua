-- Nothing starts any more. To BullMQ 5.x a queue is paused when its jobs lie in `paused`: where
-- that is wanted, up to `limit` are moved there; answers with how many are left.
--@keys meta marker wait paused
--@args base flags limit quiet
--@include queue_at emit
call('HSET', meta, 'paused', '1')
call('DEL', marker)
local left = 0
if string.find(flags, FLAG_LEGACY_PAUSE, 1, true) and raw('LLEN', wait) > 0 then
    if raw('EXISTS', paused) == 0 then
        call('RENAME', wait, paused)
    else
        -- What lies there already is older: it stays nearer to the tail, and runs first.
        for _ = 1, limit do
            if not call('RPOPLPUSH', wait, paused) then
                break
            end
        end
        left = raw('LLEN', wait)
    end
end
if quiet == '0' then
    emit(queue_at(base, flags), 'paused')
end
return left
