-- Formats and dates of millions of conversions in one call, padding of gigabytes.
-- ends: anyhow
local list = {}
for i = 1, 200000 do list[i] = 1.2345e308 end
local format, date = ("%.99g"):rep(#list), ("%c"):rep(3000000)
while true do
  pcall(string.format, format, table.unpack(list))
  pcall(os.date, date)
  pcall(string.pack, "c2000000000", "")
end
