#!/bin/sh
# mcl inspect of an 80 MB artifact, process start to end
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build/bench
file=build/bench/inspect.mcl
cc -O2 -D_GNU_SOURCE -Iinclude -Isrc tests/bench/bench_inspect.c "$MCL_BUILD/libmcl.a" -lzstd -lm -lpthread \
  $(pkg-config --libs openblas lapacke) -o build/bench/bench_inspect
[ -e $file ] || build/bench/bench_inspect make $file
build/bench/bench_inspect time "$MCL_BUILD/mcl" $file "$1"
