-- Fails with `why` if that is a reason that passes and has nothing to do with any one job: then it
-- is the answer to the whole call, which is sent again.
local function raise_if_passing(why)
    local code = string.match(why, '^%u+')
    for _, passing in ipairs({ 'READONLY', 'OOM', 'MISCONF', 'NOREPLICAS', 'MASTERDOWN',
        'CLUSTERDOWN', 'LOADING', 'BUSY', 'TRYAGAIN' }) do
        if code == passing then
            error(why, 0)
        end
    end
end
