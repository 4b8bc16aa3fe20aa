# SPDX-License-Identifier: Apache-2.0
"""From what strace wrote to operations on the state folder, and to requests that the CA may have seen."""

import collections
import os
import posixpath
import re

from disk import FILE, FOLDER

CALLS = "openat write pwrite64 fsync fdatasync mkdir mkdirat symlinkat renameat renameat2 unlink unlinkat connect sendto".split()
MORE = ["-f", "-ff", "-ttt", "-xx", "-s", "4194304"]
LINE = re.compile(r"^(?:\d+ +)?(\d+\.\d+) (\w+)\((.*)\) += (-?\d+)")
FD = r"(?:AT_FDCWD|\d+)<([^>]*)>"
STRING = r'"([^"]*)"'
# TLS 1.3: what is sent begins with a record of application data, and is more than an alert.
IS_DATA, ALERT_LEN = 0x17, 24

# kind "post": a request that the CA may have from here on, path: its endpoint. kind "sure": all before it is on the disk.
Op = collections.namedtuple("Op", "kind path data node parent name to_parent to_name", defaults=(None,) * 6)


class Unreadable(Exception):
    """The recording has a call that this program does not know."""


def plain(text):
    """strace -xx writes every byte of a string as hex."""
    return bytes.fromhex(text.replace("\\x", "")) if "\\x" in text else text.encode()


def lines_of(prefix):
    """All threads' calls in the order in which they were entered."""
    folder, name = os.path.split(str(prefix))
    found = []
    for file in os.listdir(folder):
        if not file.startswith(name + "."):
            continue
        with open(os.path.join(folder, file), errors="replace") as f:
            for line in f:
                m = LINE.match(line)
                if m and (int(m[4]) >= 0 or m[2] == "connect"):
                    found.append((float(m[1]), m[2], m[3], int(m[4])))
    return sorted(found, key=lambda entry: entry[0])


class Reader:
    """Calls to (kind, path, data[, new path]), with paths below the state folder only."""

    def __init__(self, state_dir, ca_port):
        self.top = str(state_dir)
        self.ca_port = ca_port
        self.at = {}  # positions of open files

    def rel(self, folder, name):
        path = posixpath.normpath(posixpath.join(plain(folder).decode(), plain(name).decode()))
        return posixpath.relpath(path, self.top) if path == self.top or path.startswith(self.top + "/") else None

    def read(self, name, args, ret):
        handler = getattr(self, "do_" + {"pwrite64": "write", "fdatasync": "fsync", "renameat2": "renameat"}.get(name, name))
        found = handler(args, ret)
        return [f for f in found if f[1] is not None]

    def read_all(self, prefix):
        return [found for _at, call, args, ret in lines_of(prefix) for found in self.read(call, args, ret)]

    def do_openat(self, args, ret):
        m = re.match(rf"{FD}, {STRING}, ([A-Z_|]+)", args)
        if not m:
            raise Unreadable(args)
        self.at[ret] = 0
        if "O_TRUNC" in m[3]:
            raise Unreadable(args)
        return [("create", self.rel(m[1], m[2]), None)] if "O_CREAT" in m[3] else []

    def do_write(self, args, ret):
        m = re.match(rf"(\d+)<([^>]*)>, {STRING}(\.\.\.)?, \d+(?:, (\d+))?", args)
        path = m and self.rel(m[2], "")
        if not path:
            return []
        fd = int(m[1])
        offset = int(m[5]) if m[5] else self.at.get(fd, 0)
        self.at[fd] = offset + ret
        return [("write", path, (offset, plain(m[3])[:ret]))]

    def do_fsync(self, args, _ret):
        return [("fsync", self.rel(re.match(FD, args)[1], ""), None)]

    def do_mkdir(self, args, _ret):
        return [("mkdir", self.rel("/", re.match(STRING, args)[1]), None)]

    def do_mkdirat(self, args, _ret):
        m = re.match(rf"{FD}, {STRING}", args)
        return [("mkdir", self.rel(m[1], m[2]), None)]

    def do_symlinkat(self, args, _ret):
        m = re.match(rf"{STRING}, {FD}, {STRING}", args)
        return [("symlink", self.rel(m[2], m[3]), plain(m[1]).decode())]

    def do_renameat(self, args, _ret):
        m = re.match(rf"{FD}, {STRING}, {FD}, {STRING}", args)
        return [("rename", self.rel(m[1], m[2]), self.rel(m[3], m[4]))]

    def do_unlink(self, args, _ret):
        return [("unlink", self.rel("/", re.match(STRING, args)[1]), None)]

    def do_unlinkat(self, args, _ret):
        m = re.match(rf"{FD}, {STRING}", args)
        return [("unlink", self.rel(m[1], m[2]), None)]

    def do_connect(self, args, _ret):
        """For whoever wants to know only whether anything was asked at all."""
        return [("connect", "", None)] if f"htons({self.ca_port})" in args else []

    def do_sendto(self, args, _ret):
        m = re.match(rf"\d+<TCP:\[[^\]]*->[^\]]*:{self.ca_port}\]>, {STRING}", args)
        data = plain(m[1]) if m else b""
        return [("post", "", None)] if len(data) > ALERT_LEN and data[0] == IS_DATA else []


def resolve(raw):
    """Names to nodes. The state folder itself is there and sure: "." is node -1, and what is above it counts as it too."""
    names = {-1: {}}
    ops = []

    def walk(path):
        node = -1
        for part in path.split("/"):
            node = node if part in (".", "") else names[node][part]
        return node

    for kind, path, data in raw:
        i = len(ops)
        if kind in ("post", "connect", "sure"):
            ops.append(Op(kind, path, data))
            continue
        if kind in ("fsync", "write"):
            ops.append(Op(kind, path, data, node=walk(path)))
            continue
        up, name = posixpath.split(path)
        parent = walk(up)
        if kind == "create" and name in names[parent]:
            continue  # opened only
        if kind == "rename":
            to_up, to_name = posixpath.split(data)
            to_parent = walk(to_up)
            node = names[parent].pop(name)
            names[to_parent][to_name] = node
            is_folder = ops[node].kind == "mkdir"
            ops.append(Op(kind, path, FOLDER if is_folder else None, node, parent, name, to_parent, to_name))
        elif kind == "unlink":
            ops.append(Op(kind, path, None, names[parent].pop(name), parent, name))
        elif path != ".":
            names[parent][name] = i
            names[i] = {}
            ops.append(Op(kind, path, data, i, parent, name))
    return ops


def of_tree(tree):
    """The calls that would make this tree, all sure."""
    for path in sorted(p for p in tree if p != "."):
        kind, content = tree[path]
        if kind == FOLDER:
            yield "mkdir", path, None
        elif kind == FILE:
            yield "create", path, None
            yield "write", path, (0, content)
        else:
            yield "symlink", path, content
    yield "sure", "", None
