-- Decodes another program's JSON; an empty table when it is not an object or array. Half a
-- surrogate pair, which JSON.parse takes and cjson does not, becomes U+FFFD.
local function decode_json(text)
    local ok, value = pcall(cjson.decode, text or '')
    if not ok then
        local whole = string.gsub(text or '', '\\u[dD][89a-fA-F]%x%x', '\\ufffd')
        ok, value = pcall(cjson.decode, whole)
    end
    return ok and type(value) == 'table' and value or {}
end
