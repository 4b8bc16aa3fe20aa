#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The disks that a power cut could leave. One issuance is recorded with strace, from the first start with an empty folder on; then
every state is built that a weak file system may show after each call, and judged.

The model: what was written to a file is sure after fsync of that file, a name (create, mkdir, rename, symlink, unlink) after fsync of
its folder. What is not sure may have reached the disk or not, in any order; a write also torn or as zeros, the rename of a file also
with both names. A real journaling file system shows far fewer states; none that is not among these.

    states.py [--limit 4000] [--starts 6] [--seed 1]

Some states (--starts) are written out and the daemon has to finish from there, with one order in the ledger."""

import argparse
import collections
import itertools
import os
import posixpath
import random
import re
import sys
import time

import points
import trace
from disk import FILE, FOLDER, LINK, judge_tree
from stage import Broken, Stage, base, need

CALLS = "openat write pwrite64 fsync fdatasync mkdir mkdirat symlinkat renameat renameat2 unlink unlinkat connect".split()
LINE = re.compile(r"^(?:\d+ +)?(\d+\.\d+) (\w+)\((.*)\) += (-?\d+)")
FD = r"(?:AT_FDCWD|\d+)<([^>]*)>"
STRING = r'"([^"]*)"'
PER_POINT = 400  # states after one call, at most; more are drawn by chance

Op = collections.namedtuple("Op", "kind path data node parent name to_parent to_name", defaults=(None,) * 6)


class Unreadable(Exception):
    """The recording has a call that this program does not know."""


# --- from a recording to operations ---


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
        """The first request of an issuance is the order: from this moment on it may be posted."""
        return [("post", "", None)] if f"htons({self.ca_port})" in args else []


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
        if kind == "post":
            ops.append(Op("post", path, None))
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


# --- from operations to states ---


def choices(op):
    if op.kind == "write":
        return ("full", None, "torn", "zeros")
    # A folder has one name, on every file system.
    return ("full", None, "both") if op.kind == "rename" and op.data != FOLDER else ("full", None)


def unsure(ops, k):
    """[(index, variants)] of what a crash right after ops[:k] may have lost."""
    found = []
    synced = set()
    for i in range(k - 1, -1, -1):
        op = ops[i]
        if op.kind == "fsync":
            synced.add(op.node)
        elif op.kind != "post":
            places = {op.node} if op.kind == "write" else {op.parent} if op.to_parent is None else {op.parent, op.to_parent}
            if not places <= synced:
                found.append((i, choices(op)))
    return found


def build(ops, k, chosen):
    """The tree after ops[:k], where chosen says how each unsure one reached the disk."""
    names = {-1: {}}
    data = {}
    what = {}
    for i, op in enumerate(ops[:k]):
        how = chosen.get(i, "full")
        if op.kind in ("create", "mkdir", "symlink"):
            names[i] = {}
            data[i] = b""
            what[i] = op
            if how:
                names[op.parent][op.name] = i
        elif op.kind == "write" and how:
            offset, text = op.data
            text = text[: len(text) // 2] if how == "torn" else bytes(len(text)) if how == "zeros" else text
            old = data[op.node].ljust(offset, b"\0")
            data[op.node] = old[:offset] + text + old[offset + len(text) :]
        elif op.kind == "rename" and how:
            if how == "full" and names[op.parent].get(op.name) == op.node:
                del names[op.parent][op.name]
            names[op.to_parent][op.to_name] = op.node
        elif op.kind == "unlink" and how and names[op.parent].get(op.name) == op.node:
            del names[op.parent][op.name]
    return tree_from(names, data, what)


def tree_from(names, data, what):
    tree = {".": (FOLDER, None)}

    def visit(node, at):
        for name, child in names[node].items():
            path = posixpath.join(at, name) if at else name
            op = what[child]
            tree[path] = (FOLDER, None) if op.kind == "mkdir" else (LINK, op.data) if op.kind == "symlink" else (FILE, data[child])
            visit(child, path)

    visit(-1, "")
    return tree


def states_after(ops, k, rnd):
    found = unsure(ops, k)
    n = 1
    for _i, variants in found:
        n *= len(variants)
    if n <= PER_POINT:
        combos = itertools.product(*[v for _i, v in found])
    else:
        combos = (tuple(rnd.choice(v) for _i, v in found) for _ in range(PER_POINT))
    for combo in combos:
        yield {i: how for (i, _v), how in zip(found, combo)}


def write_out(tree, folder):
    """A tree as a state folder, with the modes that the daemon gives."""
    os.makedirs(folder, mode=0o711)
    os.chmod(folder, 0o711)
    for path in sorted(tree):
        kind, content = tree[path]
        full = os.path.join(folder, path)
        if path == ".":
            continue
        if kind == FOLDER:
            os.mkdir(full)
            os.chmod(full, 0o700 if path == "state" or path.endswith(".new") else 0o755)
        elif kind == LINK:
            os.symlink(content, full)
        else:
            with open(full, "wb") as f:
                f.write(content)
            os.chmod(full, 0o644 if path.endswith(".pem") and not path.endswith("privkey.pem") else 0o600)


# --- recording and judging ---


def record(stage, first_kill=None):
    """A first start with an empty folder, until all is done: (name, operations). first_kill: that start is killed before this call,
    and what it did not sync is not sure either."""
    name = stage.new_name()
    d = stage.daemon(name)
    d.state_dir.mkdir(mode=0o711)
    port = int(stage.sandbox.listen.rsplit(":", 1)[1])
    reader = Reader(d.state_dir, port)
    raw = []
    more = ["-f", "-ff", "-ttt", "-xx", "-s", "4194304", "-D"]
    if first_kill:
        call, n = first_kill
        points.spawn_under(d, trace.options(d.dir / "first", [f"?{c}" for c in CALLS]) + more + ["-e", f"inject={call}:signal=KILL:when={n}"])
        base.until(lambda: d.proc.poll() is not None, 20, why="killed at the first start")
        d.proc = None
        raw += read_all(reader, d.dir / "first")
    points.spawn_under(d, trace.options(d.dir / "whole", [f"?{c}" for c in CALLS]) + more)
    stage.settle(d, name)
    d.stop()
    stage.judge(d.start(), name, {(1, 0)})
    d.stop()
    raw += read_all(reader, d.dir / "whole")
    stage.drop(d)
    ops = resolve(raw)
    need(sum(op.kind == "fsync" for op in ops) >= 5 and any(op.kind == "post" for op in ops), f"the recording is not whole: {ops}")
    return name, ops


def read_all(reader, prefix):
    return [found for _at, call, args, ret in lines_of(prefix) for found in reader.read(call, args, ret)]


def judge_states(name, ops, orders, root, limit, rnd):
    """Every state, or so many of them drawn by chance: (number judged, [(k, tree, posted)], failures)."""
    posted_at = next(i for i, op in enumerate(ops) if op.kind == "post")
    seen, kept, failures = set(), [], []
    everything = [(k, chosen) for k in range(len(ops) + 1) for chosen in states_after(ops, k, rnd)]
    if len(everything) > limit:
        everything = sorted(rnd.sample(everything, limit), key=lambda e: e[0])
    for k, chosen in everything:
        tree = build(ops, k, chosen)
        is_posted = k > posted_at
        mark = hash((is_posted, tuple(sorted(tree.items()))))
        if mark in seen:
            continue
        seen.add(mark)
        try:
            judge_tree(tree, name, orders if is_posted else [], root)
            kept.append((k, tree, is_posted))
        except Broken as e:
            lost = [f"{ops[i].kind} {ops[i].path}: {how or 'lost'}" for i, how in chosen.items() if how != "full"]
            failures.append((k, f"after {ops[k - 1].kind} {ops[k - 1].path}: {e}; {lost}"))
    return len(everything), len(seen), kept, failures


def start_from(stage, name, tree):
    """The daemon finds this disk, and finishes with one order."""
    d = stage.daemon(name)
    write_out(tree, d.state_dir)
    d.start()
    stage.settle(d, name)
    stage.judge(d, name, {(1, 0)})
    d.stop()
    stage.drop(d)


def start_samples(stage, name, kept, n, rnd):
    """Where nothing was posted yet, the CA must not know the order either: a world of its own for each."""
    failed = 0
    after = [s for s in kept if s[2]]
    before = [s for s in kept if not s[2]]
    for k, tree, is_posted in rnd.sample(after, min(n - n // 3, len(after))) + rnd.sample(before, min(n // 3, len(before))):
        try:
            if is_posted:
                start_from(stage, name, tree)
            else:
                with Stage() as other:
                    start_from(other, name, tree)
        except Exception as e:  # whatever it is, the state is not good
            failed += 1
            stage.keep = True
            print(f"FAILED start from a state after operation {k}: {type(e).__name__}: {e}")
    return failed


def run_one(stage, what, first_kill, args, starts):
    rnd = random.Random(args.seed)
    name, ops = record(stage, first_kill)
    orders = [(o["alternative_order_id"], o["order_id"]) for o in stage.sandbox.orders(name)]
    began = time.monotonic()
    judged, different, kept, failures = judge_states(name, ops, orders, stage.sandbox.ca_file.read_bytes(), args.limit, rnd)
    took = time.monotonic() - began
    for k, text in failures[:3]:
        print(f"FAILED {what}, operation {k} of {len(ops)}: {text}")
    failed = len(failures) + start_samples(stage, name, kept, starts, rnd)
    print(
        f"states {what}: {len(ops)} operations, {judged} states, {different} different, {failed} failed, "
        f"{judged / max(took, 0.001):.0f} states/s, {starts} started, seed {args.seed}"
    )
    return failed


def arguments(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--limit", type=int, default=4000, help="states of each recording")
    p.add_argument("--starts", type=int, default=6, help="states that the daemon is started from")
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    if not trace.is_installed():
        print("states: SKIPPED: strace is not installed")
        return 77
    with Stage() as stage:
        failed = run_one(stage, "of a first issuance", None, args, args.starts)
        failed += run_one(stage, "after a killed first start", ("fsync", 1), args, 0)
        if failed:
            stage.keep = True
            print(f"states: logs are kept in {stage.world.dir}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
