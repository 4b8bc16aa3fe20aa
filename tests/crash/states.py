#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The disks that a power cut could leave. A first issuance is recorded with strace, from a start with an empty folder on, and a reissue,
a revocation (with the order that follows) and a deployment of what is installed; then every state is built that a weak file system may
show after each call, and judged.

The model: what was written to a file is sure after fsync of that file, a name (create, mkdir, rename, symlink, unlink) after fsync of
its folder. What is not sure may have reached the disk or not, in any order; a write also torn or as zeros, the rename of a file also
with both names. A real journaling file system shows far fewer states; none that is not among these.

    states.py [--limit 4000] [--starts 6] [--only reissue] [--seed 1]

Some states (--starts) are written out and the daemon has to finish from there, with what was wanted in the ledger, once."""

import argparse
import functools
import itertools
import os
import posixpath
import random
import sys
import time

import points
import recording
import trace
from disk import FILE, FOLDER, LINK, judge_installed, judge_live, judge_order, judge_reissue, judge_revocation, judge_tree, tree_of
from stage import Broken, Stage, base, need

PER_POINT = 400  # states after one call, at most; more are drawn by chance
MAPPED = ("state/blame", "state/rates")  # hints of the last process, never synced; any content will do (test_state.py)


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
        if op.kind == "sure":
            break
        if op.kind == "fsync":
            synced.add(op.node)
        elif op.kind not in ("post", "connect"):
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


# --- recording ---


def reader_of(stage, d):
    return recording.Reader(d.state_dir, int(stage.sandbox.listen.rsplit(":", 1)[1]))


def options(prefix):
    return trace.options(prefix, [f"?{c}" for c in recording.CALLS]) + recording.MORE


def record_issue(stage, first_kill=None):
    """A first start with an empty folder, until all is done: (name, operations). first_kill: that start is killed before this call,
    and what it did not sync is not sure either."""
    name = stage.new_name()
    d = stage.daemon(name)
    d.state_dir.mkdir(mode=0o711)
    reader = reader_of(stage, d)
    raw = []
    if first_kill:
        call, n = first_kill
        points.spawn_under(d, [*options(d.dir / "first"), "-D", "-e", f"inject={call}:signal=KILL:when={n}"])
        base.until(lambda: d.proc.poll() is not None, 20, why="killed at the first start")
        d.proc = None
        raw += reader.read_all(d.dir / "first")
    points.spawn_under(d, [*options(d.dir / "whole"), "-D"])
    stage.settle(d, name)
    d.stop()
    stage.judge(d.start(), name, {(1, 0)})
    d.stop()
    raw += reader.read_all(d.dir / "whole")
    stage.drop(d)
    ops = recording.resolve(raw)
    need(sum(op.kind == "fsync" for op in ops) >= 5 and any(op.kind == "connect" for op in ops), f"the recording is not whole: {ops}")
    return name, ops


def record_command(stage, scenario):
    """From the command until all is done, with what is on the disk before it: (name, operations, the ledger before and after)."""
    d, name = scenario.prepare(stage)
    stage.settle(d, name)
    raw = list(recording.of_tree({path: entry for path, entry in tree_of(d.state_dir).items() if path not in MAPPED}))
    before = stage.sandbox.orders(name)
    n_pushes = len(stage.sandbox.pushes(name))
    stage.sandbox.forget_requests()
    tracer = trace.Tracer(d.proc.pid, d.dir / "whole", [f"?{c}" for c in recording.CALLS], more=recording.MORE)
    need(scenario.trigger(stage, d, name), "the command was refused")
    base.until(lambda: len(stage.sandbox.pushes(name)) > n_pushes and stage.ledger(name) == scenario.ends_with, 60, why="pushed")
    stage.settle(d, name)
    asked = [r["endpoint"] for r in stage.sandbox.requests()]
    tracer.end()
    stage.judge(d, name, {scenario.ends_with})
    d.stop()
    raw += reader_of(stage, d).read_all(d.dir / "whole")
    stage.drop(d)
    sent = [i for i, op in enumerate(raw) if op[0] == "post"]
    need(len(sent) == len(asked), f"{len(sent)} requests were sent, the CA has seen {asked}")
    for i, endpoint in zip(sent, asked):
        raw[i] = ("post", endpoint, None)
    ops = recording.resolve(raw)
    need(any(op.kind == "fsync" for op in ops), f"the recording is not whole: {ops}")
    return name, ops, before, stage.sandbox.orders(name)


# --- judging: what must be on the disk when the CA has been asked for all this ---


def references(orders):
    return [(o["alternative_order_id"], o["order_id"]) for o in orders]


def judge_issue(name, root, orders, tree, asked):
    judge_tree(tree, name, references(orders) if asked else [], root)


def judge_command(name, root, before, after, tree, asked):
    """The installed certificate is never forgotten, and nothing was asked of the CA that the record does not know of."""
    judge_live(tree, name, root)
    need(f"live/{name}" in tree, "live is gone")
    first = before[-1]["order_id"]
    judge_installed(tree, name, {first, after[-1]["order_id"]} if "order" in asked else {first})
    if "reissue" in asked:
        judge_reissue(tree, name, first)
    if "revoke" in asked:
        judge_revocation(tree, name, first)
    if "order" in asked:
        judge_order(tree, name, *references(after)[-1])


def asked_before(ops, k):
    """Of the CA, by the operations before k."""
    return frozenset(op.path or "something" for op in ops[:k] if op.kind in ("post", "connect"))


def judge_states(ops, judge, limit, rnd):
    """Every state, or so many of them drawn by chance: (number judged, number of different ones, [(k, tree, asked)], failures)."""
    seen, kept, failures = set(), [], []
    begin = next((i + 1 for i, op in enumerate(ops) if op.kind == "sure"), 0)
    asked = {k: asked_before(ops, k) for k in range(begin, len(ops) + 1)}
    everything = [(k, chosen) for k in asked for chosen in states_after(ops, k, rnd)]
    if len(everything) > limit:
        everything = sorted(rnd.sample(everything, limit), key=lambda e: e[0])
    for k, chosen in everything:
        tree = build(ops, k, chosen)
        mark = hash((asked[k], tuple(sorted(tree.items()))))
        if mark in seen:
            continue
        seen.add(mark)
        try:
            judge(tree, asked[k])
            kept.append((k, tree, asked[k]))
        except Broken as e:
            lost = [f"{ops[i].kind} {ops[i].path}: {how or 'lost'}" for i, how in chosen.items() if how != "full"]
            failures.append((k, f"after {ops[k - 1].kind} {ops[k - 1].path}: {e}; {lost}"))
    return len(everything), len(seen), kept, failures


# --- starting from a state ---


def start_from(stage, name, tree, ends_with):
    """The daemon finds this disk, and finishes with what was wanted, once."""
    d = stage.daemon(name)
    write_out(tree, d.state_dir)
    d.start()
    stage.settle(d, name)
    stage.judge(d, name, {ends_with})
    d.stop()
    stage.drop(d)


def start_samples(stage, name, chosen, ends_with):
    """chosen: [(k, tree, must the CA know nothing of it?)]: then in a world of its own."""
    failed = 0
    for k, tree, is_alone in chosen:
        try:
            if is_alone:
                with Stage() as other:
                    start_from(other, name, tree, ends_with)
            else:
                start_from(stage, name, tree, ends_with)
        except Exception as e:  # whatever it is, the state is not good
            failed += 1
            stage.keep = True
            print(f"FAILED start from a state after operation {k}: {type(e).__name__}: {e}")
    return failed


def samples_of_issue(kept, n, rnd):
    after = [(k, tree, False) for k, tree, asked in kept if asked]
    before = [(k, tree, True) for k, tree, asked in kept if not asked]
    return rnd.sample(after, min(n - n // 3, len(after))) + rnd.sample(before, min(n // 3, len(before)))


def samples_of_command(kept, n, rnd):
    """The CA is as it is at the end: only what comes after the last request that changes something there fits it."""
    changes = {"reissue", "revoke", "order"}
    last = max((kept_asked & changes for _k, _tree, kept_asked in kept), key=len)
    found = [(k, tree, False) for k, tree, asked in kept if asked & changes == last]
    return rnd.sample(found, min(n, len(found)))


# --- one recording after the other ---


def run_one(stage, what, ops, judge, choose, ends_with, args, n_starts):
    rnd = random.Random(args.seed)
    name = judge.args[0]
    began = time.monotonic()
    judged, different, kept, failures = judge_states(ops, judge, args.limit, rnd)
    took = time.monotonic() - began
    for k, text in failures[:3]:
        print(f"FAILED {what}, operation {k} of {len(ops)}: {text}")
    chosen = choose(kept, n_starts, rnd)
    failed = len(failures) + start_samples(stage, name, chosen, ends_with)
    n_ops = len(ops) - next((i + 1 for i, op in enumerate(ops) if op.kind == "sure"), 0)
    print(
        f"states {what}: {n_ops} operations, {judged} states, {different} different, {failed} failed, "
        f"{judged / max(took, 0.001):.0f} states/s, {len(chosen)} started, seed {args.seed}"
    )
    return failed


def run_issue(stage, what, first_kill, args, n_starts):
    name, ops = record_issue(stage, first_kill)
    judge = functools.partial(judge_issue, name, stage.sandbox.ca_file.read_bytes(), stage.sandbox.orders(name))
    return run_one(stage, what, ops, judge, samples_of_issue, (1, 0), args, n_starts)


def run_command(stage, scenario, args, n_starts):
    name, ops, before, after = record_command(stage, scenario)
    judge = functools.partial(judge_command, name, stage.sandbox.ca_file.read_bytes(), before, after)
    return run_one(stage, f"of a {scenario.name}", ops, judge, samples_of_command, scenario.ends_with, args, n_starts)


WHAT = ("issue", "start", "reissue", "revoke", "deploy")


def run_what(stage, what, args):
    if what == "issue":
        return run_issue(stage, "of a first issuance", None, args, args.starts)
    if what == "start":
        return run_issue(stage, "after a killed first start", ("fsync", 1), args, 0)
    return run_command(stage, points.SCENARIOS[what], args, (args.starts + 2) // 3)


def arguments(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--limit", type=int, default=4000, help="states of each recording")
    p.add_argument("--starts", type=int, default=6, help="states of the first that the daemon is started from, and a third of that of each command")
    p.add_argument("--only", action="append", choices=WHAT, help="only this recording")
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    if not trace.is_installed():
        print("states: SKIPPED: strace is not installed")
        return 77
    with Stage() as stage:
        failed = sum(run_what(stage, what, args) for what in args.only or WHAT)
        if failed:
            stage.keep = True
            print(f"states: logs are kept in {stage.world.dir}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
