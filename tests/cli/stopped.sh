#!/bin/sh
# Ctrl-C ends a recipe whatever it catches, with exit code 130 and the way to go on; errors that are no text, and os.exit
# within a recipe, are told by file and line.
. "$(dirname "$0")/../cli_lib.sh"

cat >net.lua <<'LUA'
local nn = require "mcl".nn
return nn.sequential { input = { 8 }, nn.linear { out = 4, name = "fc" } }
LUA

# recipe BODY: r.lua, whose run is BODY, from line 3 on
recipe() {
  {
    echo 'local mcl = require "mcl"'
    echo 'return mcl.recipe { about = "test", run = function(model, opt, job)'
    echo "$1"
    echo 'end }'
  } >r.lua
}

# stopped TEXT: mcl r.lua, which makes the file "begun", gets Ctrl-C then, ends with 130 and says TEXT
stopped() {
  rm -f begun
  "$MCL" ./r.lua net.lua -o x.mcl >out 2>err &
  process=$!
  while [ ! -e begun ] && kill -0 $process 2>/dev/null; do sleep 0.05; done
  kill -INT $process
  status=0
  wait $process || status=$?
  [ $status = 130 ] || fail "$2: exit $status, not 130"
  grep -qF -- "$1" err || fail "$2: does not say \"$1\""
  if grep -q 'stack traceback' err; then fail "$2: shows its insides"; fi
  [ ! -e x.mcl ] || fail "$2: wrote its output"
  checks=$((checks + 1))
}

begun="io.open('begun', 'w'):close()"
while read -r body; do
  recipe "$begun $body"
  stopped "stopped; there was nothing yet to keep" "$body"
done <<'LUA'
while true do end
while true do pcall(function() while true do end end) end
while true do xpcall(function() while true do end end, debug.traceback) end
xpcall(function() while true do end end, function() while true do end end)
while true do coroutine.wrap(function() pcall(coroutine.wrap(function() while true do end end)) end)() end
while true do coroutine.resume(coroutine.create(function() while true do end end)) end
local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do end
while true do pcall(mcl.ones, { 10 }) end
LUA

# What a recipe catches of its own is its own
recipe 'local ok, e = pcall(error, { code = 5 }) assert(not ok and e.code == 5) model:compress(mcl.share { bits = 2 })'
works "bytes" ./r.lua net.lua -o y.mcl

recipe 'error { code = 5, why = "no" }'
refuses 1 './r.lua:3: a table was raised as an error: { code = 5, why = "no" }' ./r.lua net.lua
refuses 1 './r.lua:3: a table was raised as an error' ./r.lua net.lua --dry-run
recipe 'error(nil)'
refuses 1 './r.lua:3: nil was raised as an error' ./r.lua net.lua
recipe 'error(setmetatable({}, { __tostring = function() return "my own" end }))'
refuses 1 './r.lua:3: my own' ./r.lua net.lua
echo 'error {}' >r.lua
refuses 1 './r.lua:1: a table was raised as an error' ./r.lua net.lua
echo 'local nn = require "mcl".nn error(false)' >bad.lua
refuses 1 'bad.lua:1: false was raised as an error' inspect bad.lua
echo 'error { 1 }' >data.lua
refuses 1 'data.lua:1: a table was raised as an error: { 1 }' eval net.lua --data data.lua

recipe 'os.exit(0)'
refuses 1 './r.lua:3: os.exit: a file that mcl runs cannot end it' ./r.lua net.lua -o z.mcl
works "Usage: mcl eval" eval --help # which does end it
echo "$checks checks"
