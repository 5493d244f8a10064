#!/bin/sh
# Processor time from a cancel to the return, over long operations
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build/bench/cancel
cmake --build --preset release --target bench_cancel >build/bench/cancel.log 2>&1 || { cat build/bench/cancel.log; exit 1; }
fragment="$1"
shift
"$MCL_BUILD/tests/bench_cancel" build/bench/cancel "$fragment" "$@"
