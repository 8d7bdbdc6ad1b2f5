-- Sets fields of the queue's settings; an empty value takes one away. Work that waits may start
-- now: says so.
--@keys meta wait prioritized
--@args base flags
--@rest field value
--@include queue_at mark
for i = first, #ARGV, 2 do
    if ARGV[i + 1] == '' then
        call('HDEL', meta, ARGV[i])
    else
        call('HSET', meta, ARGV[i], ARGV[i + 1])
    end
end
if raw('EXISTS', wait, prioritized) > 0 then
    mark_work(queue_at(base, flags))
end
return 0
