#!/bin/sh
# From a fresh Debian 12 machine to a compressed network: installs packages, builds, trains LeNet-5 on Fashion-MNIST, prunes
# it, shares its weights, Huffman-codes it, and shows what came out.   sh examples/quickstart.sh
set -eu
cd "$(dirname "$0")/.."
sh cmake/packages.sh build
mkdir -p build/quickstart
(cmake --preset release && cmake --build --preset release --target mcl_program) >build/quickstart/build.log 2>&1 ||
  { tail -n 30 build/quickstart/build.log; exit 1; }
PATH="$PWD/build/release:$PATH"
cd build/quickstart

run() {
  echo
  echo "\$ $*"
  "$@"
}
run mcl train ../../examples/models/lenet5.lua --data fashion-mnist -o lenet5.bin
run mcl deep_compression lenet5.bin --data fashion-mnist -o lenet5.mcl --report report.html
run mcl eval lenet5.mcl --data fashion-mnist
run mcl inspect lenet5.mcl
echo
echo "The report is build/quickstart/report.html."
