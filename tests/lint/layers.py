#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Include rules (docs/STYLE.md, rules 1 and 2).

Usage: layers.py [ROOT]. Prints "file:line: what is wrong" and ends with 1 when there was anything.
Does not look at what the preprocessor leaves out: an include counts wherever it stands.
"""

import pathlib
import re
import sys

# A folder may include its own files and every folder of a lower layer. Never one of its own layer.
LAYERS = [
    ["common"],
    ["config"],
    ["daemon/core"],
    ["daemon/pki", "daemon/io"],
    ["daemon/certcentral", "daemon/dcv", "daemon/deploy", "daemon/store", "daemon/ops", "daemon/watch"],
    ["daemon", "daemon/ctl", "daemon/helper"],
]

# Narrower than the layers say: folder -> what it may include beside its own files. An entry ending in "/" is a folder.
ONLY = {
    "daemon/core": ["common/", "config/model.h"],
    "daemon/ctl": ["common/", "config/load.h", "daemon/pki/chain.h", "daemon/pki/key.h"],
    # Root's program: no loop, no network.
    "daemon/helper": ["common/", "config/", "daemon/pki/chain.h", "daemon/pki/key.h", "daemon/ops/journal.h"],
    "tests/sandbox": ["common/"],
}

# The core takes time, files and log records as values, so it may not reach for them itself.
NEVER = {"daemon/core": ["common/fs.h", "common/log.h", "common/clock.h"]}

# One outside library, one owner: pattern of the header -> files (or folders, with "/") that may include it.
OWNERS = [
    (r"json-c/|json\.h$|json_", ["common/json.c"]),
    (r"yaml\.h$", ["config/yaml.c"]),
    (r"idn2\.h$", ["config/names.c"]),
    (r"openssl/", ["daemon/pki/"]),
    (r"(uv\.h$|uv/|curl/|microhttpd\.h$)", ["daemon/io/"]),
    (r"ares(_dns|_nameser|_version)?\.h$", ["daemon/io/dns.c"]),
    (r"systemd/", ["daemon/ops/notify.c", "daemon/ops/journal.c", "daemon/ops/machine.c", "daemon/helper/systemd.c"]),
    (r"ldns/", ["daemon/dcv/rfc2136.c"]),
    (r"libpsl\.h$", ["daemon/dcv/redirect.c"]),
]

# libc, POSIX and the kernel: free for all (but see common/banned.h for single calls).
SYSTEM = re.compile(
    r"^(sys|linux|arpa|net|netinet|asm)/|"
    r"^(alloca|assert|ctype|dirent|endian|errno|fcntl|float|getopt|grp|ifaddrs|inttypes|langinfo|libgen|limits|locale|malloc|"
    r"math|netdb|poll|pthread|pwd|regex|sched|search|semaphore|setjmp|signal|spawn|stdalign|stdarg|stdatomic|stdbool|"
    r"stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syscall|sysexits|syslog|termios|threads|time|ucontext|"
    r"unistd|utime|wchar|wctype)\.h$"
)

# Headers only, no library behind them: containers.
CONTAINERS = re.compile(r"^(uthash|utlist|utarray)\.h$")

# (file, include): reason. Keep it short.
EXCEPTIONS = {}

SOURCE_ROOTS = ["common", "config", "daemon", "tests"]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]')


def folder_of(path):
    return path.rpartition("/")[0]


def layer_of(folder):
    for i, folders in enumerate(LAYERS):
        if folder in folders:
            return i
    return None


def matches(path, entries):
    return any(path.startswith(e) if e.endswith("/") else path == e for e in entries)


def includes_of(text):
    """(line, quoted, name) of every include; comments between are no matter, an include owns its line."""
    for number, line in enumerate(text.split("\n"), 1):
        m = INCLUDE.match(line)
        if m:
            yield number, m.group(1) == '"', m.group(2)


def read_tree(root):
    files = {}
    for top in SOURCE_ROOTS:
        for path in sorted(root.glob(top + "/**/*")):
            if path.suffix in (".c", ".h") and path.is_file():
                name = path.relative_to(root).as_posix()
                files[name] = list(includes_of(path.read_text(errors="replace")))
    return files


def check_outside(path, name):
    """An include in <>."""
    if path.startswith("tests/") or SYSTEM.search(name) or CONTAINERS.search(name):
        return None
    for pattern, owners in OWNERS:
        if re.match(pattern, name):
            if matches(path, owners):
                return None
            return f"<{name}> belongs to {' and '.join(owners)}"
    return f"<{name}> has no owner in tests/lint/layers.py"


def check_layer(path, name):
    """An include of ours, by folder."""
    here, there = folder_of(path), folder_of(name)
    if here == there:
        return None
    only = ONLY.get(here)
    if only is not None and not matches(name, only):
        return f'"{name}": {here} may include only {", ".join(only)} and itself'
    if matches(name, NEVER.get(here, [])):
        return f'"{name}" is not for {here}'
    if path.startswith("tests/"):
        return None
    if name.startswith("tests/"):
        return f'"{name}": the program may not include its tests'
    mine, other = layer_of(here), layer_of(there)
    if mine is None:
        return f"folder {here} has no layer in tests/lint/layers.py"
    if other is None:
        return f"folder {there} has no layer in tests/lint/layers.py"
    if other > mine:
        return f'"{name}" is above {here}'
    if other == mine:
        return f'"{name}": {there} and {here} are neighbours of one layer'
    return None


def check_own(path, name, files):
    """An include in quotes."""
    if name not in files:
        return f'"{name}" does not exist (includes are written from the root)'
    if name.endswith(".c") and not path.startswith("tests/"):
        return f'"{name}" is not a header'
    return check_layer(path, name)


def check_first(path, includes, files):
    """A .c file includes its own header first, which proves that the header stands alone. A header that is private to the
    folder may stand there instead when it does so for it."""
    own = path[:-2] + ".h"
    if not path.endswith(".c") or own not in files:
        return None
    first = includes[0][2] if includes else None
    if first == own:
        return None
    if folder_of(first or "") == folder_of(path) and files.get(first) and files[first][0][2] == own:
        return None
    return f'the first include must be "{own}"'


def find_cycle(files):
    """A list of headers that include each other in a circle, or None."""
    graph = {p: [n for _, quoted, n in inc if quoted and n in files] for p, inc in files.items()}
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for other in graph[node]:
            found = visit(other)
            if found:
                return found
        path.pop()
        done.add(node)
        return None

    for node in graph:
        found = visit(node)
        if found:
            return found
    return None


def check_tree(root):
    """All problems of a tree, and the number of files."""
    files = read_tree(pathlib.Path(root))
    problems = []
    for path, includes in files.items():
        for line, quoted, name in includes:
            if (path, name) in EXCEPTIONS:
                continue
            wrong = check_own(path, name, files) if quoted else check_outside(path, name)
            if wrong:
                problems.append(f"{path}:{line}: {wrong}")
        wrong = check_first(path, includes, files)
        if wrong:
            problems.append(f"{path}:1: {wrong}")
    cycle = find_cycle(files)
    if cycle:
        problems.append(f"{cycle[0]}:1: include cycle: {' -> '.join(cycle)}")
    return problems, len(files)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    problems, n_files = check_tree(root)
    for p in problems:
        print(p)
    print(f"lint layers: {n_files} files, {len(problems)} problems")
    return 1 if problems or n_files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
