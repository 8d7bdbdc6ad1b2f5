-- Wakes the members of a group that sleep: `wake` is a stream of one entry that they wait for. A
-- mark like this one is not taken back, and one that cannot be written only lets them sleep on.
local function ring(wake)
    try('XADD', wake, 'MAXLEN', '1', '*', 'w', '1')
end
