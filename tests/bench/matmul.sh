#!/bin/sh
# the runtime's f32 matrix product against OpenBLAS, one thread
set -eu
cmake --build "$MCL_BUILD" --target bench_matmul >/dev/null
start=$(date +%s)
echo "matmul: m n k (T: transposed), Gflop/s                    ours OpenBLAS ratio spread"
"$MCL_BUILD/tests/bench_matmul" | while read -r m n k kind ours peer ratio spread; do
  printf '  %-50s %8s %8s %5s %6s\n' "${m}x${n}x${k} $kind" "$ours" "$peer" "$ratio" "$spread"
  least=null aim=null
  if [ "$m $n $k $kind" = "512 512 512 NN" ]; then least=0.6 aim=0.9; fi
  printf '{"bench": "matmul", "case": "%s", "ours": %s, "peer": %s, "peer_name": "OpenBLAS", "unit": "Gflop/s", "ratio": %s, "at_least": %s, "aim": %s, "seconds": %s}\n' \
    "${m}x${n}x${k} $kind" "$ours" "$peer" "$ratio" "$least" "$aim" "$(($(date +%s) - start))" >>"$1"
done
