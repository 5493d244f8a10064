#!/bin/sh
# Huffman decoding against zstd's huff0, one thread
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build/bench
zstd=$(cc -print-file-name=libzstd.a) # static: huff0 itself is not exported by the shared one
cc -O2 -Iinclude -Isrc tests/bench/bench_coding.c "$MCL_BUILD/libmcl.a" "$zstd" -lm -lpthread -o build/bench/bench_coding
build/bench/bench_coding "$1"
