#!/bin/sh
# Every set of kernels that the processor has, and any number of threads, give the same bytes: numbers of all kinds of work, a
# trained net, a plan, an artifact.
. "$(dirname "$0")/../cli_lib.sh"

cat >net.lua <<'END'
local nn = require("mcl").nn
return nn.sequential {
  input = { 1, 9, 11 },
  nn.conv { out = 6, kernel = 3, pad = 1 }, nn.relu(), nn.max_pool { kernel = 2 },
  nn.conv { out = 8, kernel = 3 }, nn.sigmoid(),
  nn.flatten(), nn.linear { out = 40 }, nn.tanh(), nn.linear { out = 5 },
}
END

cat >data.lua <<'END'
local mcl = require "mcl"
local function part(seed, rows)
  local labels = {}
  for i = 1, rows do labels[i] = i * 7 % 5 end
  return mcl.random({ rows, 1, 9, 11 }, { seed = seed, kind = "normal" }), mcl.tensor(labels, "i64")
end
local arrays = {}
arrays.x_train, arrays.y_train = part(5, 300)
arrays.x_test, arrays.y_test = part(6, 50)
return arrays
END

cat >work.lua <<'END'
local mcl = require "mcl"
local numbers = {}

local function functions()
  local x = mcl.random({ 1001 }, { seed = 1, kind = "normal" })
  local y = mcl.random({ 1001 }, { seed = 2, kind = "normal" })
  for _, name in ipairs { "exp", "log", "tanh", "sigmoid", "sin", "cos", "erf", "sqrt", "reciprocal", "square", "relu", "round" } do
    local argument = x:abs() * 9 + 0.01
    numbers[name] = argument[name](argument):eval()
  end
  numbers.pow = (x:abs() + 0.5):pow(y):eval()
  numbers.sums = mcl.tensor({ x:sum(), x:mean(), x:norm(), (x * y):sum(), x:std(), x:quantile(0.3) }, "f64")
  numbers.axis = mcl.random({ 37, 53 }, { seed = 3 }):sum(2)
end

return mcl.recipe {
  about = "All kinds of work, and the bits that come of it",
  run = function(model, _, job)
    functions()
    model:fit { job.data.train, epochs = 2, batch = 32, rate = 0.05 }
    for i, layer in ipairs(model:layers()) do numbers["trained" .. i] = layer.weight:copy() end
    numbers.outputs = model:run(mcl.random({ 7, 1, 9, 11 }, { seed = 6 }))
    for i, statistics in pairs(job:calibrate("gram", "input_norm")) do
      numbers["gram" .. i], numbers["norm" .. i] = statistics.gram, statistics.input_norm
    end
    local plan = mcl.plan {
      model, statistics = job:calibrate("gram"), budget = { ratio = 5 },
      candidates = function()
        return { mcl.quantize { bits = 4 }, mcl.quantize { bits = 8 }, mcl.share { bits = 3 }, mcl.lowrank { rank = 2 } }
      end,
    }
    print(plan)
    model:compress(plan)
    model:fit { job.data.train, epochs = 1, batch = 50 }
    model:compress(mcl.lowrank { rank = 3 } + mcl.prune { density = 0.1 })
    model:fit { job.data.train, epochs = 1 }
    mcl.save_arrays(os.getenv("NUMBERS"), numbers)
  end,
}
END

# run NAME KERNELS THREADS: leaves NAME.bin, NAME.npz, NAME.mcl and NAME.txt
run() {
  export MCL_KERNELS="$2" NUMBERS="$1.npz"
  mcl train net.lua --data data.lua -o "$1.bin" --set epochs=1 --threads "$3" --quiet >/dev/null
  mcl ./work.lua "$1.bin" --data data.lua -o "$1.mcl" --threads "$3" --quiet >"$1.txt"
}

run first portable 1
for kernels in portable avx2 avx512; do # one that the processor has not is run as the next below it
  for threads in 1 3; do
    run other $kernels $threads
    for kind in bin npz mcl txt; do
      cmp -s first.$kind other.$kind || fail "$kernels, $threads threads: another .$kind than portable's on one thread"
      checks=$((checks + 1))
    done
  done
done
echo "$checks checks"
