"""What a benchmark ran on, for people and for its JSON.

machine.py note FILE                  prints a line about the machine and keeps it, with the load before, in FILE
machine.py collect FILE LINES JSON    writes JSON, a list of the objects in LINES, each with "machine": what FILE has and the load now
"""
import ctypes
import ctypes.util
import json
import os
import re
import sys


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = re.findall(r"^model name\s*:\s*(.*)$", lines.read(), re.M)
    return names[0] if names else os.uname().machine


def openblas():
    """The library's own word for its build, and the kernel that it chose for this processor."""
    name = ctypes.util.find_library("openblas")
    if not name:
        return {"config": None, "kernel": None}
    library = ctypes.CDLL(name)
    library.openblas_get_config.restype = library.openblas_get_corename.restype = ctypes.c_char_p
    return {"config": library.openblas_get_config().decode(), "kernel": library.openblas_get_corename().decode()}


def load():
    return round(os.getloadavg()[0], 2)


def note(path):
    about = {"processor": processor(), "processors": len(os.sched_getaffinity(0)), "load_before": load(), "openblas": openblas()}
    with open(path, "w", encoding="utf-8") as out:
        json.dump(about, out)
    busy = "; the machine is BUSY: times are not to be trusted" if about["load_before"] > 0.5 else ""
    print(f"machine: {about['processor']}, {about['processors']} processors, load {about['load_before']}, "
          f"OpenBLAS kernel {about['openblas']['kernel']}{busy}")


def collect(path, lines, out_path):
    with open(path, encoding="utf-8") as file:
        about = json.load(file) | {"load_after": load()}
    with open(lines, encoding="utf-8") as file:
        rows = [json.loads(line) | {"machine": about} for line in file]
    with open(out_path + ".new", "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    os.replace(out_path + ".new", out_path)


{"note": note, "collect": collect}[sys.argv[1]](*sys.argv[2:])
