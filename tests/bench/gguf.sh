#!/bin/sh
# GGUF: what mcl writes, as ggml's own Python package reads it (agreement, not speed)
set -eu
start=$(date +%s)
FRAGMENT=$1
case_line() { # NAME AGREE OF
  ratio=$(awk "BEGIN { print $3 ? $2 / $3 : 0 }")
  printf '  %-44s %6s of %6s   %s\n' "$1" "$2" "$3" "$ratio"
  printf '{"bench": "gguf", "case": "%s", "ours": %s, "peer": %s, "peer_name": "gguf", "unit": "agree", "ratio": %s, "at_least": 1, "aim": 1, "seconds": %s}\n' \
    "$1" "$2" "$3" "$ratio" "$(($(date +%s) - start))" >>"$FRAGMENT"
}
echo "gguf: what agrees bit for bit                      ours of   peer   ratio"
log=build/bench/gguf_check.log
"$MCL_VENV/bin/python" tests/peer/gguf_check.py "$MCL_BUILD/mcl" >$log 2>&1 || cat $log
set -- $(sed -n 's/^GGUF: \([0-9]*\) of \([0-9]*\) nets agree; \([0-9]*\) of \([0-9]*\) files.*/\1 \2 \3 \4/p' $log)
if [ $# -eq 4 ]; then
  case_line "nets, read by the package" "$1" "$2"
  case_line "the package's file that the unit test reads" "$3" "$4"
else
  echo "  peer missing: gguf could not be had ($log; a venv older than peers.txt is made anew when build/bench/venv is removed)"
fi
