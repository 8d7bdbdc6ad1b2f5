-- Lets parents run that a flow has brought no pending child: all of their children had ended
-- before. A parent that could not get one of its children goes on waiting.
--@keys waiting-children
--@args base flags now
--@rest parent
--@include queue_at release
for i = first, #ARGV do
    if call('HDEL', base .. ARGV[i], 'flowAttachmentFailed') == 0 then
        release_if_ready(queue_at(base, flags), ARGV[i], tonumber(now))
    end
end
return #ARGV - first + 1
