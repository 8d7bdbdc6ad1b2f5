-- Where the event stream stands: the id of its newest entry.
--@keys events
local newest = raw('XREVRANGE', events, '+', '-', 'COUNT', 1)
return newest[1] and newest[1][1] or '0-0'
