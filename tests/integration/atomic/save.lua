-- All keys as name, time to live, contents.
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
    all[#all + 1] = key
    all[#all + 1] = tostring(math.max(redis.call('PTTL', key), 0))
    all[#all + 1] = redis.call('DUMP', key)
end
return all
