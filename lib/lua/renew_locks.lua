-- Renews the locks of running jobs; answers with the indexes (from 1) of those that are lost.
--@keys stalled
--@args base lock_ms
--@rest job_id token
local keys, ids, tokens = {}, {}, {}
for i = first, #ARGV, 2 do
    ids[#ids + 1] = ARGV[i]
    tokens[#tokens + 1] = ARGV[i + 1]
    keys[#keys + 1] = base .. ARGV[i] .. ':lock'
end
local held = raw('MGET', unpack(keys))
local lost, kept = {}, {}
for i = 1, #ids do
    if held[i] == tokens[i] then
        call('SET', keys[i], tokens[i], 'PX', lock_ms)
        kept[#kept + 1] = ids[i]
    else
        lost[#lost + 1] = i
    end
end
if #kept > 0 then
    call('SREM', stalled, unpack(kept))
end
return lost
