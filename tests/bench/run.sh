#!/bin/sh
# Benchmarks: sh tests/bench/run.sh NAME… [--json FILE]; no name lists them. A benchmark is a file NAME.sh beside this one: it
# prints one line a case (work, ours, peer, ratio, spread) and appends JSON objects, one a line, to the file it is given:
# {bench, case, ours, peer, peer_name, unit, ratio, at_least, aim, seconds}, with threads, peer_threads and rounds where speed is
# meant; ratio is oriented so that larger is better. --json FILE has them as a list, each with the machine: processor, load, OpenBLAS's kernel.
# Peers live in a virtual environment under build/; one that cannot be had is reported as missing.
set -eu
cd "$(dirname "$0")/../.."
json=""
names=""
while [ $# -gt 0 ]; do
  case $1 in
    --json)
      [ $# -gt 1 ] || { echo "run.sh: --json needs a file" >&2; exit 2; }
      json=$2
      shift ;;
    -*) echo "run.sh: unknown option $1 (there is --json FILE)" >&2; exit 2 ;;
    all) names="$names $(cd tests/bench && ls ./*.sh | sed 's|^\./||; s|\.sh$||' | grep -v '^run$')" ;;
    *) names="$names $1" ;;
  esac
  shift
done
if [ -z "$names" ]; then
  echo "usage: sh tests/bench/run.sh NAME… [--json FILE]     (or: all)"
  for file in tests/bench/*.sh; do
    name=$(basename "$file" .sh)
    [ "$name" = run ] || printf '  %-18s %s\n' "$name" "$(sed -n '2s/^# *//p' "$file")"
  done
  exit 0
fi
for name in $names; do
  [ -e "tests/bench/$name.sh" ] && [ "$name" != run ] || { echo "run.sh: there is no benchmark $name; without a name, all are listed" >&2; exit 2; }
done

sh cmake/packages.sh build bench
mkdir -p build/bench
(cmake --preset release && cmake --build --preset release) >build/bench/build.log 2>&1 || { tail -n 40 build/bench/build.log; exit 1; }
export MCL_BUILD="$PWD/build/release"
export MCL_VENV="$PWD/build/bench/venv"
if [ ! -e "$MCL_VENV/ready" ]; then
  echo "installing peers into build/bench/venv (once)" >&2
  python3 -m venv "$MCL_VENV" && while read -r peer; do
    "$MCL_VENV/bin/pip" install -q "$peer" >>build/bench/pip.log 2>&1 || echo "peer missing: $peer could not be installed (build/bench/pip.log)" >&2
  done <tests/bench/peers.txt
  touch "$MCL_VENV/ready"
fi
fragment=build/bench/fragment.jsonl
: >$fragment
python3 tests/bench/machine.py note build/bench/machine.json
failed=0
for name in $names; do
  sh "tests/bench/$name.sh" "$fragment" || { echo "$name: the benchmark itself failed" >&2; failed=1; }
done
if [ -n "$json" ]; then
  python3 tests/bench/machine.py collect build/bench/machine.json $fragment "$json"
fi
exit $failed
