redis.call('FLUSHDB')
for i = 1, #ARGV, 3 do
    redis.call('RESTORE', ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
