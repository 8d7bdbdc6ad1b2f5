-- Changes settings of a stream. `field` and `value`: of its `info`. Refuses with NO_BOUND to keep
-- what is unread without end.
--@keys info
--@args prefix stream
--@rest field value
--@include stream_read
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
for i = first, #ARGV, 2 do
    s[ARGV[i]] = ARGV[i + 1]
end
if (s.keep_unread == true or s.keep_unread == '1') and tonumber(s.keep_bytes) == 0 then
    return NO_BOUND
end
if not s.known then
    stream_create(info, prefix, stream)
end
call('HSET', info, unpack(ARGV, first))
return 0
