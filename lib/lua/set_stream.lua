-- Changes settings of a stream. `field` and `value`: of its `info`.
--@keys info
--@args prefix stream
--@rest field value
--@include stream_read
local s = stream_read(info)
if not s then
    return OTHER_LAYOUT
end
if not s.known then
    stream_create(info, prefix, stream)
end
call('HSET', info, unpack(ARGV, first))
return 0
