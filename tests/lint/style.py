#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What of docs/STYLE.md a script can check: sizes (rule 13), documented headers (15), goto (7), heads, words, blanks.

Usage: style.py [ROOT]. Prints "file:line: what is wrong" and ends with 1 when there was anything.
Needs universal-ctags and pmccabe. Enum switches are the compiler's business (-Wswitch-enum).
"""

import json
import pathlib
import re
import subprocess
import sys

FUNCTION_LINES = 60  # of 95 % of all functions
FUNCTION_LINES_MAX = 100
FUNCTION_SHARE = 0.95
COMPLEXITY_MAX = 15  # pmccabe's first column: a switch counts once
FILE_LINES_MAX = 600

SOURCE_DIRS = ["common", "config", "daemon", "tests"]
OTHER_DIRS = ["systemd", "contrib", "docs", ".ci"]
TEXT_SUFFIXES = {".c", ".h", ".py", ".sh", ".md", ".yaml", ".yml", ".service", ".conf", ".mk", ".in", ""}

# (file or folder ending in "/", rule) -> reason. Rules: length, complexity, file, documented, goto, spdx, marks.
EXCEPTIONS = {
    ("common/strbuf.h", "documented"): "the head of the file is the contract of all additions",
    ("daemon/core/record.h", "marks"): "the word is a value of enum deploy_state",
    ("daemon/io/http.h", "documented"): "http_start() is told by struct http_request and by the head of loop.h",
}

# Promises of later work. Split, so that this file passes itself.
MARKS = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")

# Names that say all there is: destructors (rule 3: they accept NULL), constructors of the type that the head of the
# file describes, enum to word, and some of common/. Capitals are macros, which ctags takes for functions.
OBVIOUS = re.compile(r"_(free|done|unref|new|name|reconfigure|enabled|set_level|has_prefix|has_suffix)$|^[A-Z_]+$")


def run(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def excepted(path, rule):
    return any(
        r == rule and (path.startswith(p) if p.endswith("/") else path == p) for p, r in EXCEPTIONS
    )


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.problems = []
        self.sources = self.find(SOURCE_DIRS, {".c", ".h"})
        self.scripts = self.find(SOURCE_DIRS + OTHER_DIRS, {".py", ".sh"})
        self.texts = sorted(set(self.find(SOURCE_DIRS + OTHER_DIRS, TEXT_SUFFIXES) + self.top_files()))

    def find(self, folders, suffixes):
        found = []
        for folder in folders:
            for path in self.root.glob(folder + "/**/*"):
                if path.suffix in suffixes and path.is_file() and "__pycache__" not in path.parts:
                    found.append(path.relative_to(self.root).as_posix())
        return sorted(found)

    def top_files(self):
        return [p.name for p in self.root.iterdir() if p.is_file() and p.suffix in TEXT_SUFFIXES]

    def read(self, path):
        return (self.root / path).read_text(errors="replace")

    def say(self, path, line, rule, what):
        if not excepted(path, rule):
            self.problems.append(f"{path}:{line}: {what}")


def without_comments_and_strings(text):
    """The same number of lines, with comments and literals blanked."""

    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))

    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.S)


def tags(tree, paths, kinds):
    """ctags entries (dicts with name, path, line, end) of some kinds."""
    if not paths:
        return []
    # --language-force: a .h is C for us, not C++. -I: attributes that would hide a function's name.
    out = run(
        "ctags", "--options=NONE", "--language-force=C", "--output-format=json", f"--kinds-C={kinds}", "--fields=+ne",
        "-I", "_must_check_,_unused_,_noreturn_", "-I", "_printf_+", "-I", "_cleanup_+", "-f", "-",
        *[str(tree.root / p) for p in paths],
    )  # fmt: skip
    found = []
    for line in out.splitlines():
        tag = json.loads(line)
        if tag.get("_type") == "tag":
            tag["path"] = pathlib.Path(tag["path"]).relative_to(tree.root).as_posix()
            found.append(tag)
    return found


def check_function_lengths(tree):
    lengths = []
    for tag in tags(tree, tree.sources, "f"):
        n = tag.get("end", tag["line"]) - tag["line"] + 1
        if not tag["path"].startswith("tests/") or tag["path"].startswith("tests/sandbox/"):
            lengths.append((n, tag))
        if n > FUNCTION_LINES_MAX:
            tree.say(tag["path"], tag["line"], "length", f"{tag['name']}() has {n} lines ({FUNCTION_LINES_MAX} at most)")
    long = [(n, t) for n, t in lengths if n > FUNCTION_LINES]
    if lengths and 1 - len(long) / len(lengths) < FUNCTION_SHARE:
        for n, t in sorted(long, key=lambda e: -e[0]):
            tree.say(
                t["path"], t["line"], "length",
                f"{t['name']}() has {n} lines (only {len(lengths) - len(long)} of {len(lengths)} functions are under {FUNCTION_LINES})",
            )  # fmt: skip


def check_complexity(tree):
    if not tree.sources:
        return
    for line in run("pmccabe", *[str(tree.root / p) for p in tree.sources]).splitlines():
        fields = line.split("\t")
        if int(fields[0]) <= COMPLEXITY_MAX:
            continue
        place, _, name = fields[5].partition(": ")
        path = pathlib.Path(place.partition("(")[0]).relative_to(tree.root).as_posix()
        tree.say(path, fields[3], "complexity", f"{name}() has complexity {fields[0]} ({COMPLEXITY_MAX} at most)")


def is_documented(lines, first, last):
    """A comment on the declaration, above it, or somewhere above in its group (a group ends at a blank line)."""
    if any("/*" in line or "*/" in line for line in lines[first : last + 1]):
        return True
    for line in reversed(lines[:first]):
        if not line.strip():
            return False
        if "*/" in line:
            return True
    return False


def is_told_by_head(lines, first):
    """The first group of a header, when nothing but includes and plain names stands between it and the head comment."""
    seen_head = False
    for line in lines[:first]:
        if "*/" in line:
            seen_head = True
        elif line and not line.startswith((" *", "/*", "#", "struct ")):
            return False
    return seen_head


def check_documented(tree):
    headers = [p for p in tree.sources if p.endswith(".h") and not p.startswith("tests/")]
    texts = {p: tree.read(p).split("\n") for p in headers}
    for tag in tags(tree, headers, "p"):
        lines, first = texts[tag["path"]], tag["line"] - 1
        last = first
        while last + 1 < len(lines) and not re.search(r";\s*(/\*.*)?$", lines[last]):
            last += 1
        if OBVIOUS.search(tag["name"]) or is_documented(lines, first, last):
            continue
        if not is_told_by_head(lines, first):
            tree.say(tag["path"], tag["line"], "documented", f"{tag['name']}() has no comment")


def check_source(tree, path):
    text = tree.read(path)
    lines = text.split("\n")
    if not path.startswith("tests/") or path.startswith("tests/sandbox/"):
        if len(lines) - 1 > FILE_LINES_MAX:
            tree.say(path, 1, "file", f"{len(lines) - 1} lines ({FILE_LINES_MAX} at most)")
    if lines[0] != "/* SPDX-License-Identifier: Apache-2.0 */":
        tree.say(path, 1, "spdx", "the first line must be the SPDX comment")
    if path.endswith(".h") and "#pragma once" not in lines:
        tree.say(path, 1, "spdx", "no #pragma once")
    for number, line in enumerate(without_comments_and_strings(text).split("\n"), 1):
        if re.search(r"\bgoto\b", line):
            tree.say(path, number, "goto", "goto (docs/STYLE.md, rule 7)")
    for number, line in enumerate(lines, 1):
        if re.match(r"\t* +\t", line):
            tree.say(path, number, "blanks", "blank before a tab")


def check_text(tree, path):
    if path.startswith("tests/fuzz/corpus/"):
        return  # bytes for parsers, not text of ours
    for number, line in enumerate(tree.read(path).split("\n"), 1):
        m = MARKS.search(line)
        if m:
            tree.say(path, number, "marks", f"{m.group(0)}: do it, or write down why not")
        if line.endswith((" ", "\t", "\r")):
            tree.say(path, number, "blanks", "blank at the end")


def check_script(tree, path):
    head = tree.read(path).split("\n")[:2]
    if "# SPDX-License-Identifier: Apache-2.0" not in head:
        tree.say(path, 1, "spdx", "no SPDX line at the top")
    for number, line in enumerate(tree.read(path).split("\n"), 1):
        if path.endswith(".py") and re.match(r" *\t", line):
            tree.say(path, number, "blanks", "tab in Python")


def check_tree(root):
    tree = Tree(root)
    check_function_lengths(tree)
    check_complexity(tree)
    check_documented(tree)
    for path in tree.sources:
        check_source(tree, path)
    for path in tree.scripts:
        check_script(tree, path)
    for path in tree.texts:
        check_text(tree, path)
    return tree.problems, len(set(tree.sources + tree.scripts + tree.texts))


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    problems, n_files = check_tree(root)
    for p in problems:
        print(p)
    print(f"lint style: {n_files} files, {len(problems)} problems")
    return 1 if problems or n_files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
