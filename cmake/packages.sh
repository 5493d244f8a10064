#!/bin/sh
# Installs the Debian packages that are missing: sh cmake/packages.sh build [test] [bench]
set -eu
build="gcc libc6-dev cmake ninja-build pkg-config liblua5.4-dev lua5.4 libopenblas-serial-dev liblapacke-dev libzstd-dev
  libxxhash-dev zlib1g-dev libzip-dev libjansson-dev lua-argparse dataset-fashion-mnist libcmocka-dev"
tests="git lua-busted lua-check clang clang-format libclang-rt-14-dev python3 zstd"
bench="python3-venv npm"

wanted=""
for set in "$@"; do
  case $set in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $tests" ;;
    bench) wanted="$wanted $bench" ;;
    *) echo "packages.sh: no set of packages is called $set (build, test, bench)" >&2; exit 2 ;;
  esac
done
missing=""
for package in $wanted; do
  [ "$package" = npm ] && command -v npm >/dev/null && continue # it may have come with another Node.js
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing" >&2
root=""
[ "$(id -u)" = 0 ] || root=sudo
$root apt-get update -qq
# shellcheck disable=SC2086 # one word a package
DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends $missing >&2
