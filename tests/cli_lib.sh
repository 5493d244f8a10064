# Helpers of the command-line tests in cli/; sourced by them, not run. Gives: mcl, $work (removed at the end), $source,
# $fashion, refuses, works.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
MCL=$(realpath "$MCL")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mcl() { "$MCL" "$@"; }
fashion=/usr/share/datasets/fashion-mnist
checks=0

fail() {
  echo "FAILED: $*"
  echo "  stdout: $(head -c 600 out 2>/dev/null)"
  echo "  stderr: $(head -c 600 err 2>/dev/null)"
  exit 1
}

# refuses EXIT TEXT ARG…: mcl ARG… ends with this exit code and says TEXT on stderr; no crash, no trace of Lua's insides
refuses() {
  code=$1 text=$2
  shift 2
  status=0
  "$MCL" "$@" >out 2>err </dev/null || status=$?
  [ "$status" = "$code" ] || fail "mcl $*: exit $status, not $code"
  grep -qiF -- "$text" err || fail "mcl $*: does not say \"$text\""
  if grep -qE 'stack traceback|lua/mcl/|attempt to' err; then fail "mcl $*: shows its insides"; fi
  checks=$((checks + 1))
}

# works TEXT ARG…: mcl ARG… succeeds and prints TEXT on stdout
works() {
  text=$1
  shift
  "$MCL" "$@" >out 2>err </dev/null || fail "mcl $*: exit $?"
  grep -qF -- "$text" out || fail "mcl $*: does not print \"$text\""
  checks=$((checks + 1))
}
