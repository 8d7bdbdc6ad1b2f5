-- Removes a binding. Answers with 1, or 0 when there was none.
--@keys binds routes
--@args field
--@include drop_keys
local found = call('HDEL', binds, field)
drop_keys({ routes })
return found
