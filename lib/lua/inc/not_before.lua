-- A time of a job that is not before an earlier one of it: these come from other clocks.
local function not_before(earlier, now)
    if earlier and #earlier == #now and earlier > now and not string.find(earlier, '%D') then
        return earlier
    end
    return now
end
