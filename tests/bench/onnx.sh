#!/bin/sh
# ONNX: its own backend tests, whole nets and exports against ONNX Runtime (agreement, not speed)
set -eu
start=$(date +%s)
python=$MCL_VENV/bin/python
case_line() { # NAME AGREE OF LOG
  ratio=$(awk "BEGIN { print $3 ? $2 / $3 : 0 }")
  printf '  %-44s %6s of %6s   %s\n' "$1" "$2" "$3" "$ratio"
  printf '{"bench": "onnx", "case": "%s", "ours": %s, "peer": %s, "peer_name": "ONNX Runtime", "unit": "agree", "ratio": %s, "at_least": 1, "aim": 1, "seconds": %s}\n' \
    "$1" "$2" "$3" "$ratio" "$(($(date +%s) - start))" >>"$FRAGMENT"
}
FRAGMENT=$1
echo "onnx: what agrees within 1e-5                        ours of   peer   ratio"
"$python" tests/peer/onnx_backend.py "$MCL_BUILD/mcl" >build/bench/onnx_backend.log 2>&1 || cat build/bench/onnx_backend.log
set -- $(sed -n 's/^ONNX backend tests: \([0-9]*\) run, \([0-9]*\) agree; \([0-9]*\) exports agree of \([0-9]*\);.*/\1 \2 \3 \4/p' build/bench/onnx_backend.log)
if [ $# -eq 4 ]; then
  case_line "ONNX's backend tests, run by mcl" "$2" "$1"
  case_line "their exports, run by ONNX Runtime" "$3" "$4"
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
