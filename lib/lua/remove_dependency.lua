-- A child stops holding its parent, and forgets it. 1, or 0 when it held none.
--@args base flags now id
--@include parent_ends
local key = base .. id
if raw('EXISTS', key) == 0 then
    return NO_JOB
end
local parent_key = raw('HGET', key, 'parentKey')
if not parent_key then
    return 0
end
if raw('EXISTS', parent_key) == 0 then
    return NO_PARENT
end
if raw('SISMEMBER', parent_key .. ':dependencies', key) == 0 then
    return 0
end
child_removed(flags, key, parent_key, tonumber(now))
call('HDEL', key, 'parentKey', 'parent')
return 1
