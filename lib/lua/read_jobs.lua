-- Many jobs, in order: each its hash, empty where there is none, and its score in `delayed`.
--@keys delayed
--@args base
--@rest id
--@include read_hash
local jobs = {}
for i = first, #ARGV do
    jobs[i - first + 1] = { read_hash(base .. ARGV[i]), raw('ZSCORE', delayed, ARGV[i]) }
end
return jobs
