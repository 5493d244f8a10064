#!/bin/sh
# The pages of the documentation run: the first block of each, the README's recipe, and every recipe and architecture that
# is printed whole. They run as they stand, in a folder that looks like the source's (copies: what a page writes is no part of
# the source); only the data are smaller (the first 1,000 and 200 images of Fashion-MNIST) and training is one epoch.
MCL_BUILD=$(realpath "$MCL_BUILD")
. "$(dirname "$0")/../cli_lib.sh"
export MCL

mkdir small bin build pages
cp -R "$source/examples" "$source/tests" "$source/recipes" .
ln -s "$MCL_BUILD" build/release
python3 - "$fashion" <<'PY'
import gzip, struct, sys
for part, count in (("train", 1000), ("t10k", 200)):
    images = gzip.open("%s/%s-images-idx3-ubyte.gz" % (sys.argv[1], part)).read(16 + count * 784)[16:]
    labels = gzip.open("%s/%s-labels-idx1-ubyte.gz" % (sys.argv[1], part)).read(8 + count)[8:]
    open("small/%s-images-idx3-ubyte" % part, "wb").write(struct.pack(">4I", 2051, count, 28, 28) + images)
    open("small/%s-labels-idx1-ubyte" % part, "wb").write(struct.pack(">2I", 2049, count) + labels)
PY
cat >bin/mcl <<SH
#!/bin/sh
# The program, with less to do.
[ "\$1" != train ] || set -- "\$@" --set epochs=1
for word; do
  shift
  [ "\$word" != fashion-mnist ] || word=idx:$work/small
  set -- "\$@" "\$word"
done
exec "\$MCL" "\$@"
SH
chmod +x bin/mcl
PATH=$work/bin:$PATH
export PATH

# runs WHAT COMMAND…: succeeds, or the test fails with what it said
runs() {
  what=$1
  shift
  "$@" >out 2>err </dev/null || fail "$what does not run"
  checks=$((checks + 1))
}

# page FILE: extracts its blocks, runs the first
page() {
  blocks=pages/$(basename "$1" .md)
  python3 "$source/tests/doc_blocks.py" "$1" "$blocks"
  if [ -e "$blocks/01.lua" ]; then
    runs "$1, first block" env LUA_CPATH="$MCL_BUILD/lua/?.so;;" lua5.4 "$blocks/01.lua"
  else
    runs "$1, first block" sh -eu "$blocks/01.sh"
  fi
}

# In this order: each uses what those before it have made.
for name in cli recipes formats format architectures api-lua; do
  page "$source/docs/$name.md"
done
runs "the README's recipe" python3 "$source/tests/doc_blocks.py" "$source/README.md" pages/README
cp pages/README/*.lua recipe.lua
runs "the README's recipe" sh -eu "$(grep -l 'mcl recipe.lua' pages/README/*.sh)"
for file in "$source"/docs/*.md; do # pages that came since; architecture.md begins with a picture
  name=$(basename "$file" .md)
  [ -e "pages/$name" ] || [ "$name" = architecture ] || page "$file"
done

# Whatever is printed whole.
for block in pages/*/[0-9][0-9].lua; do
  if grep -q '^return mcl.recipe' "$block"; then
    runs "recipe $block" bin/mcl "$block" lenet5.bin --data fashion-mnist -o block.mcl
  elif grep -qE '^return (mcl\.)?nn\.' "$block"; then
    runs "architecture $block" bin/mcl train "$block" --data fashion-mnist -o block.bin
  fi
done
[ "$checks" -ge 11 ] || fail "only $checks blocks were found"
echo "$checks checks"
