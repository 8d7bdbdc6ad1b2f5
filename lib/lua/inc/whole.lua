-- The whole number that others stored, not negative and small enough to count in ones; nil for
-- anything else.
local function whole(text)
    local number = tonumber(text)
    if number and number >= 0 and number <= 9007199254740991 then
        return math.floor(number)
    end
end
