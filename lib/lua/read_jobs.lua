-- The hashes of many jobs, in order; empty where there is none.
--@args base
--@rest id
--@include read_hash
local hashes = {}
for i = first, #ARGV do
    hashes[i - first + 1] = read_hash(base .. ARGV[i])
end
return hashes
