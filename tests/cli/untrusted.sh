#!/bin/sh
# --untrusted: a recipe runs in a sandbox, from its first line on; what it does to the model counts, nothing else.
. "$(dirname "$0")/../cli_lib.sh"

cat >net.lua <<'LUA'
local nn = require "mcl".nn
return nn.sequential { input = { 8 }, nn.linear { out = 4, name = "fc" } }
LUA
cat >good.lua <<'LUA'
local mcl = require "mcl"
return mcl.recipe {
  about = "test",
  options = { bits = { 2, "bits of the codebook", min = 1, max = 8 } },
  run = function(model, opt, job)
    assert(not io and not debug and not package and not os.execute and not job.has_data)
    model:compress(mcl.share { bits = opt.bits })
  end,
}
LUA
mcl convert net.lua net.bin

works "ratio" ./good.lua net.bin -o a.mcl --untrusted --set bits=3
works "palette 8" inspect a.mcl
refuses 1 './good.lua: unknown option "bit"; did you mean "bits"?' ./good.lua net.bin -o b.mcl --untrusted --set bit=3
refuses 1 'assertion failed' ./good.lua net.bin -o b.mcl # with all of io and os

echo 'io.open("made", "w"):close()' >bad.lua
status=0
"$MCL" ./bad.lua net.bin -o b.mcl --untrusted >out 2>err || status=$?
[ $status = 1 ] && grep -q "./bad.lua:1: .*'io'" err || fail "a recipe that is not trusted found io"
"$MCL" ./bad.lua net.bin -o b.mcl --untrusted --help >out
[ ! -e made ] || fail "a recipe that is not trusted wrote a file"
[ ! -e b.mcl ] || fail "a recipe that failed wrote its output"

for option in --resume --dry-run; do
  refuses 2 "$option and --untrusted do not go together" ./good.lua net.bin -o b.mcl --untrusted $option
done
refuses 2 "no Lua file runs but the recipe" ./good.lua net.lua -o b.mcl --untrusted
refuses 2 "no Lua file runs but the recipe" ./good.lua net.bin -o b.mcl --untrusted --data data.lua
echo "$checks checks"
