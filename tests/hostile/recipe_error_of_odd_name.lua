-- What a recipe raises is explained by its fields; of a type whose name is no text, too.
-- ends: "x = table"
local odd = setmetatable({}, { __name = 5 })
error({ x = odd, y = odd })
