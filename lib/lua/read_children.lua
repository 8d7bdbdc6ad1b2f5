-- One page of a job's children: of those pending (part 1), processed (2), ignored (3) or failed
-- (4), from `cursor` on. Answers with the part and the cursor of the next page, part 5 when there
-- is none, and the page: names, in parts 2 to 4 with a value behind each (a failed one's is the
-- time). -1 when there is no such job. Pending ones come first: a child that ends while the pages
-- are read is then met twice rather than never.
--@args base id part cursor
local key = base .. id
if raw('EXISTS', key) == 0 then
    return NO_JOB
end
local parts = { { 'SSCAN', ':dependencies', 500 }, { 'HSCAN', ':processed', 100 },
    { 'HSCAN', ':failed', 100 }, { 'ZSCAN', ':unsuccessful', 500 } }
local at = tonumber(part)
local page = call(parts[at][1], key .. parts[at][2], cursor, 'COUNT', parts[at][3])
return { page[1] == '0' and at + 1 or at, page[1], page[2] }
