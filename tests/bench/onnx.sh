#!/bin/sh
# ONNX: its own backend tests, whole nets and exports against ONNX Runtime (agreement, not speed)
set -eu
start=$(date +%s)
python=$MCL_VENV/bin/python
case_line() { # NAME AGREE OF [AT_LEAST]
  ratio=$(awk "BEGIN { print $3 ? $2 / $3 : 0 }")
  printf '  %-44s %6s of %6s   %s\n' "$1" "$2" "$3" "$ratio"
  printf '{"bench": "onnx", "case": "%s", "ours": %s, "peer": %s, "peer_name": "ONNX Runtime", "unit": "agree", "ratio": %s, "at_least": %s, "aim": 1, "seconds": %s}\n' \
    "$1" "$2" "$3" "$ratio" "${4:-1}" "$(($(date +%s) - start))" >>"$FRAGMENT"
}
FRAGMENT=$1
echo "onnx: what agrees within 1e-5                        ours of   peer   ratio"
"$python" tests/peer/onnx_backend.py "$MCL_BUILD/mcl" >build/bench/onnx_backend.log 2>&1 ||
  grep '^FAILED' build/bench/onnx_backend.log || true
numbers() { sed -n "s/^$1: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) refused of \([0-9]*\)\$/\1 \2 \4/p" build/bench/onnx_backend.log; }
set -- $(numbers "ONNX backend tests")
if [ $# -eq 3 ]; then
  case_line "ONNX's backend tests: passed, of those run" "$1" "$(($1 + $2))"
  case_line "ONNX's backend tests: run, of all" "$(($1 + $2))" "$3" 0
  set -- $(numbers "with constants for all inputs but the first")
  case_line "the same with constant inputs: passed, of run" "$1" "$(($1 + $2))"
  set -- $(numbers "exports of those that passed")
  case_line "their exports, run by ONNX Runtime" "$1" "$(($1 + $2))"
else
  echo "  peer missing: onnx 1.17 with its tests could not be had (build/bench/onnx_backend.log)"
fi
"$python" tests/peer/onnx_check.py "$MCL_BUILD/mcl" >build/bench/onnx_check.log 2>&1 || cat build/bench/onnx_check.log
set -- $(sed -n 's/^whole nets: \([0-9]*\) of \([0-9]*\) agree.*/\1 \2/p' build/bench/onnx_check.log)
if [ $# -eq 2 ]; then
  case_line "whole nets and their exports" "$1" "$2"
else
  echo "  peer missing: torch, onnxruntime or a net could not be had (build/bench/onnx_check.log)"
fi
