#!/bin/sh
# The runtime's edge: sh runtime_edge.sh LIBRARY. No symbol of Lua, BLAS, LAPACK, zlib, libzip or jansson is wanted by it.
set -eu
symbols=$(nm -u "$1" | awk '$1 == "U" { print $2 }' | sort -u)
[ -n "$symbols" ] || { echo "nm finds nothing in $1"; exit 1; }
foreign=$(echo "$symbols" | grep -E '^(lua|luaL_|luaopen|cblas_|LAPACKE|[sd](gemm|gesvd|gesdd|syev|potrf|geqrf)|inflate|deflate|gz|zip_|json_)' || true)
if [ -n "$foreign" ]; then
  echo "the runtime wants symbols that are the engine's:"
  echo "$foreign"
  exit 1
fi
echo "$(echo "$symbols" | wc -l) symbols wanted, none of them the engine's"
