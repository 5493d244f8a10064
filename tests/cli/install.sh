#!/bin/sh
# What `cmake --install` lays down can be built against: with pkg-config and with CMake, the runtime alone and the engine.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
MCL_BUILD=$(realpath "$MCL_BUILD")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$MCL_BUILD" --prefix "$work/prefix" >/dev/null
test -x "$work/prefix/bin/mcl"
grep -q '^.TH MCL 1' "$work/prefix/share/man/man1/mcl.1"
grep -q 'complete -F _mcl' "$work/prefix/share/bash-completion/completions/mcl"
"$work/prefix/bin/mcl" --version
test -e "$work/prefix/include/mcl/mcl.h" && test -e "$work/prefix/include/mcl/mcl_runtime.h"

# pkg-config: classify.c needs the runtime alone
packages=$(dirname "$(find "$work/prefix" -name mcl_runtime.pc)")
flags=$(PKG_CONFIG_PATH=$packages pkg-config --cflags --libs mcl_runtime)
# shellcheck disable=SC2086 # one word a flag
cc "$source/examples/classify.c" $flags -o "$work/classify"
if ldd "$work/classify" | grep -E 'lua|blas|lapack'; then echo "the runtime brings in the engine's libraries"; exit 1; fi

# CMake: both targets
mkdir "$work/client"
cat >"$work/client/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(client C)
find_package(mcl 0.1 REQUIRED)
add_executable(classify CLASSIFY)
target_link_libraries(classify PRIVATE mcl::mcl_runtime)
add_executable(host HOST)
target_link_libraries(host PRIVATE mcl::mcl)
CMAKE
sed -i "s|CLASSIFY|$source/examples/classify.c|; s|HOST|$source/examples/host.c|" "$work/client/CMakeLists.txt"
cmake -G Ninja -S "$work/client" -B "$work/client/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/client/build" >/dev/null
test -x "$work/client/build/host" && test -x "$work/client/build/classify"

# The Lua module under a stock lua5.4
LUA_CPATH="$(dirname "$(find "$work/prefix" -name mcl.so)")/?.so;;" lua5.4 -e 'local mcl = require "mcl"; print(mcl.version)'

# It shows what Lua looks for, and no inner name
shown() { nm -D --defined-only "$1" | awk '{ print $3 }' | sort | tr '\n' ' '; }
[ "$(shown "$(find "$work/prefix" -name mcl.so)")" = "luaopen_mcl " ] || { echo "mcl.so shows inner names"; exit 1; }

# The runtime builds alone, with no engine library at hand
cmake -G Ninja -S "$source" -B "$work/runtime" -DMCL_RUNTIME_ONLY=ON -DMCL_WITH_ZSTD=OFF -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$work/runtime" -j2 >/dev/null
cc "$source/examples/classify.c" -I"$source/include" "$work/runtime/libmcl_runtime.a" -lm -lpthread -o "$work/alone"

# and, built without zstd, opens what is written for it; what is not says what to do
cc "$source/examples/weights.c" -I"$source/include" "$work/runtime/libmcl_runtime.a" -lm -lpthread -o "$work/weights"
mcl=$work/prefix/bin/mcl
"$mcl" convert "$source/examples/models/lenet5.lua" "$work/net.bin" >/dev/null
"$mcl" convert "$work/net.bin" "$work/usual.mcl" >/dev/null
"$mcl" convert "$work/net.bin" "$work/portable.mcl" --portable >/dev/null
"$work/weights" "$work/portable.mcl" >"$work/portable.txt"
grep -q '^conv1.weight 20x1x5x5$' "$work/portable.txt"
"$work/weights" "$work/portable.mcl" fc1.weight
if "$work/weights" "$work/usual.mcl" 2>"$work/refused.txt"; then echo "a zstd directory was opened without zstd"; exit 1; fi
grep -q -- '--portable' "$work/refused.txt"
"$mcl" verify "$work/portable.mcl"
if "$mcl" convert "$work/net.bin" "$work/x.mcl" --portable --zstd=3 2>"$work/refused.txt"; then exit 1; fi
grep -q 'leave one of the two out' "$work/refused.txt"

# and as a shared library, with the functions of its header and no others
cmake -G Ninja -S "$source" -B "$work/shared" -DMCL_RUNTIME_ONLY=ON -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$work/shared" -j2 >/dev/null
cmake --install "$work/shared" --prefix "$work/moved" >/dev/null
library=$(find "$work/moved" -name libmcl_runtime.so)
nm -D --defined-only "$library" | awk '{ print $3 }' | grep -v '^mcl_runtime' | sort >"$work/shown"
tr -cs 'a-z0-9_' '\n' <"$source/include/mcl/mcl_runtime.h" | grep '^mcl_' | sort -u >"$work/named"
[ -s "$work/shown" ] && [ -z "$(comm -23 "$work/shown" "$work/named")" ] || { echo "libmcl_runtime.so shows inner names"; exit 1; }
packages=$(dirname "$(find "$work/moved" -name mcl_runtime.pc)")
flags=$(PKG_CONFIG_PATH=$packages pkg-config --cflags --libs mcl_runtime)
# shellcheck disable=SC2086 # one word a flag
cc "$source/examples/classify.c" $flags -Wl,-rpath,"$(dirname "$library")" -o "$work/classify_shared"
ldd "$work/classify_shared" | grep -q libmcl_runtime.so
