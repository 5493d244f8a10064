#!/bin/sh
# The kept corpus of a target made anew: as few inputs as reach what the kept and the new ones reach.
# sh tests/fuzz/merge.sh TARGET [MOST]      MOST: how many are kept, the smallest; 60
set -eu
cd "$(dirname "$0")/../.."
target=$1 most=${2:-60} kept=tests/fuzz/corpus/$1 least=build/fuzz/least/$1
. tests/fuzz/common.sh
build_targets
rm -rf "$least"
mkdir -p "$least" "$kept" "build/fuzz/corpus/$target"
"build/fuzz/tests/fuzz_$target" -merge=1 -detect_leaks=0 -max_len=1024 "$least" "$kept" "build/fuzz/corpus/$target"
rm -f "$kept"/*
ls -Sr "$least" | head -n "$most" | while read -r name; do cp "$least/$name" "$kept/$name"; done
echo "$target: $(ls "$kept" | wc -l) inputs"
