"""The blocks of code of a page of Markdown, fenced or indented: python3 doc_blocks.py PAGE FOLDER

Writes each to FOLDER as NN.sh, or NN.lua where it is Lua, in the order of the page; Lua is preceded by empty lines, so that
an error names the line of the page. A block of Lua is known by its fence, or by a `require` of mcl in it."""
import os
import re
import sys


def blocks(lines):
    """(number of lines before it, language or "", lines) of each block."""
    at = 0
    while at < len(lines):
        end = at + 1
        if lines[at].startswith("```"):
            while end < len(lines) and not lines[end].startswith("```"):
                end += 1
            yield at + 1, lines[at][3:].strip(), lines[at + 1 : end]
            end += 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield at, "", [line[4:] for line in lines[at:end]]
        at = end


def main(page, folder):
    os.makedirs(folder, exist_ok=True)
    with open(page, encoding="utf-8") as file:
        lines = file.read().split("\n")
    for index, (before, language, inside) in enumerate(blocks(lines), 1):
        text = "\n".join(inside).rstrip() + "\n"
        lua = language == "lua" or (not language and re.search(r'require *\(?"mcl', text))
        with open(os.path.join(folder, "%02d.%s" % (index, "lua" if lua else "sh")), "w", encoding="utf-8") as file:
            file.write("\n" * before + text if lua else text)


main(*sys.argv[1:])
