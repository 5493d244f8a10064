#!/bin/sh
# training speed, batch 64, 2 threads, against PyTorch: LeNet-300-100 and LeNet-5
set -eu
cmake --build "$MCL_BUILD" --target bench_train >/dev/null
if ! "$MCL_VENV/bin/python" -c "import torch" 2>/dev/null; then
  echo "train: peer missing: PyTorch could not be installed; ours alone:"
  for net in lenet300 lenet5; do echo "  $net $("$MCL_BUILD/tests/bench_train" $net 19200 2) images/s, loss"; done
  exit 0
fi
exec "$MCL_VENV/bin/python" "$(dirname "$0")/train.py" "$MCL_BUILD/tests/bench_train" "$1"
