std = "lua54"
max_line_length = 120
exclude_files = { "build" }
files["spec"] = { std = "+busted" }
files["lua/mcl.d.lua"] = { unused_args = false, max_line_length = false, ignore = { "241", "211" } }
files["tests/hostile"] = { unused = false }
files["tests/fuzz/core.d.lua"] = { max_line_length = false, ignore = { "111", "112", "212" } }
