"""The files that messages.sh is about, written by Python alone."""
import struct
import zipfile


def npy(values, shape, descr="<f4", code="f"):
    header = "{'descr': %r, 'fortran_order': False, 'shape': %r, }" % (descr, tuple(shape))
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack("<%d%s" % (len(values), code), *values)


def npz(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name + ".npy", data)


for path in ("x.pth", "x.h5", "plain", "x.h"):
    open(path, "wb").write(b"\x80\x02 not a model that is read" * 4)
x = [(i * 37 % 101) / 101 for i in range(40 * 4)]
labels = [i % 3 for i in range(40)]
data = {"x_train": npy(x, (40, 4)), "y_train": npy(labels, (40,), "<i8", "q"), "x_test": npy(x, (40, 4)), "y_test": npy(labels, (40,), "<i8", "q")}
npz("d.npz", **data)
npz("w.npz", w=npy(x[:12], (3, 4)))
half = b"".join(struct.pack("<e", v) for v in x[:32])
text = b'{"w":{"dtype":"F16","shape":[4,8],"data_offsets":[0,64]},"n":{"dtype":"I8","shape":[3],"data_offsets":[64,67]}}'
open("half.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + half + b"\1\2\3")
open("x.npy", "wb").write(npy(x[:4], (1, 4)))
open("net.lua", "w").write('local nn = require("mcl").nn\nreturn nn.sequential { input = { 4 }, nn.linear { out = 512 }, nn.relu(), nn.linear { out = 3 } }\n')
odd = r"\255\254\27[31m<b>"  # as Lua spells it: no UTF-8, a terminal's command, a tag
open("odd.lua", "w").write('local nn = require("mcl").nn\nreturn nn.sequential { input = { 4 }, nn.linear { out = 3, name = "%s" } }\n' % odd)
open("recipe.lua", "w").write('local mcl = require "mcl"\nreturn mcl.recipe { about = "x", run = function(model) model:compress(mcl.share { bits = 2 }) end }\n')
