#!/bin/sh
# What is said when a file is none that can be read: the same from every command, and what there is instead.
. "$(dirname "$0")/../cli_lib.sh"

python3 "$source/tests/cli/messages.py"

# ---- Files of other programs: every command names the extension and what is read ----
for file in x.pth x.h5 plain; do
  for words in "inspect" "verify" "eval --data npz:d.npz" "infer --input x.npy --output y.npy" "magnitude -o x.mcl"; do
    # shellcheck disable=SC2086 # one word an argument
    set -- $words
    command=$1
    shift
    refuses 1 "names no format of models; .mcl .bin .onnx .npz .safetensors .gguf are read" "$command" "$file" "$@"
  done
  refuses 1 "names no format of models; .mcl .bin" convert "$file" out.bin
  refuses 1 "names no format of models; .mcl .bin" diff "$file" "$file"
done
refuses 1 "a C header is not read" inspect x.h
refuses 2 ".npz .safetensors .gguf .h are written" convert w.npz out.pth
refuses 1 "w.npz: a NumPy archive of weights has no checksums" verify w.npz

# ---- Help lists what is read and written ----
for command in convert inspect eval infer diff magnitude; do
  "$MCL" "$command" --help | tr -s ' \n' ' ' | grep -q "\.mcl \.bin \.onnx \.npz \.safetensors \.gguf, or an architecture" ||
    fail "$command --help does not list what is read"
done
mcl convert --help | tr -s ' \n' ' ' | grep -q "\.safetensors \.gguf \.h" || fail "convert --help does not list what is written"
mcl --help | grep -q "safetensors" || fail "--help does not list what is read"

# ---- Extensions of any case ----
cp w.npz W.NPZ
works "bytes" inspect W.NPZ
works "bytes" convert W.NPZ W.MCL
works "whole" verify W.MCL
works "" diff W.NPZ W.MCL
cp net.lua NET.LUA
works "" magnitude NET.LUA -o NET.Bin --report R.JSON --quiet
python3 -c 'import json; json.load(open("R.JSON"))'
works "whole" verify NET.Bin
cp recipe.lua RECIPE.LUA
works "" RECIPE.LUA NET.LUA -o r.mcl --quiet

# ---- Recipes work on data that are no images, and say that they do not augment them ----
for recipe in magnitude deep_compression custom_criterion mixed_precision rank_search; do
  case $recipe in mixed_precision | rank_search) ratio="--set ratio=1.5" ;; *) ratio= ;; esac
  # shellcheck disable=SC2086 # two words, or none
  mcl $recipe net.lua --data npz:d.npz -o x.mcl $ratio >out 2>err || fail "$recipe: on a table of numbers"
  checks=$((checks + 1))
  case $recipe in magnitude | deep_compression)
    [ "$(grep -c "no images: training goes without augmentation" err)" = 1 ] || fail "$recipe does not say that it does not augment" ;;
  esac
done

# ---- Names from files: JSON is valid, terminals and pages get nothing to obey ----
bytes_name=$(printf 'odd\377name.mcl')
mcl magnitude odd.lua -o "$bytes_name" --report odd.json 2>err >out
mcl magnitude odd.lua -o odd.mcl --report odd.html --quiet >out
mcl inspect odd.mcl --json >inspect.json
mcl diff odd.mcl odd.mcl --json >diff.json
mcl inspect odd.mcl >inspect.txt
mcl diff odd.mcl odd.mcl >diff.txt
mcl magnitude odd.lua --dry-run >dry.txt
mcl convert "$bytes_name" odd.bin >convert.txt
python3 - <<'PY'
import json
odd = "\\xff\\xfe\x1b[31m<b>"
for path in ("odd.json", "inspect.json", "diff.json"):
    record = json.loads(open(path, "rb").read().decode())
    names = [layer["name"] for layer in record.get("layers", []) + record.get("weights", [])]
    assert odd + ".weight" in names, (path, names)
assert json.load(open("odd.json", encoding="utf-8"))["output"] == "odd\\xffname.mcl"
for path in ("inspect.txt", "diff.txt", "dry.txt", "convert.txt", "err", "odd.html"):
    text = open(path, "rb").read().decode()
    assert "\x1b" not in text and "<b>.weight" not in text.replace("\\x1b[31m<b>", "") , path
html = open("odd.html", encoding="utf-8").read()
assert "\\xff\\xfe\\x1b[31m&lt;b&gt;.weight" in html
assert "\\xff\\xfe\\x1b[31m<b>.weight" in open("inspect.txt").read()
PY
refuses 1 'its name is not UTF-8' convert odd.lua odd.safetensors
refuses 1 'its name is not UTF-8' convert odd.lua odd.npz
works "bytes" convert odd.lua odd.gguf
refuses 1 '\xff\x1b[2Jx.mcl' inspect "$(printf '\377\033[2Jx.mcl')"
refuses 2 '\x1b[2J' "$(printf '\033[2J')"
checks=$((checks + 8))

# ---- What a file holds of each weight is looked up, not computed ----
works "dense 140" inspect half.safetensors
mcl inspect half.safetensors --json >held.json
mcl convert net.lua held.onnx
mcl inspect held.onnx --json >held_onnx.json
mcl inspect net.lua --json >drawn.json
python3 - <<'PY'
import json, os
layers = {layer["name"]: layer for layer in json.load(open("held.json"))["layers"]}
assert [layers["w"]["bytes"][k] for k in ("dense", "coded", "file")] == [128, 64, 64], layers
assert [layers["n"]["bytes"][k] for k in ("dense", "coded", "file")] == [12, 3, 3], layers
assert layers["w"]["bits"] == 16
onnx = json.load(open("held_onnx.json"))
assert [layer["bytes"]["file"] for layer in onnx["layers"]] == [4 * 512 * 4, 4 * 512, 4 * 3 * 512, 4 * 3], onnx
assert sum(layer["bytes"]["file"] for layer in onnx["layers"]) <= os.path.getsize("held.onnx")
assert all(layer["bytes"]["file"] == 0 for layer in json.load(open("drawn.json"))["layers"])
PY
checks=$((checks + 3))

# ---- A C header compiles, whatever its file is called ----
for name in int register class operator_ main NULL errno 3d _Bool __x é "a b" a.b.c "" "x*" "$(printf '%080d' 1)"; do
  works "" convert w.npz "./$name.h"
  printf '#include <stdio.h>\n#include <errno.h>\n#include "%s"\n' "./$name.h" >all.c
  grep -qE 'char [a-zA-Z][a-zA-Z0-9]*(_[a-zA-Z0-9]+)*_bytes\[' "./$name.h" || fail "$name.h: the array's name is reserved"
  cc -std=c11 -Wall -Wextra -Werror -Wno-unused -fsyntax-only all.c 2>err || fail "$name.h does not compile as C"
  ! command -v c++ >/dev/null || c++ -x c++ -Wall -Wextra -Werror -Wno-unused -fsyntax-only all.c 2>err ||
    fail "$name.h does not compile as C++"
  checks=$((checks + 1))
done
echo "$checks checks"
