#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kill -9 before each call, an error at each call, and an allocation that fails at each place, of an issuance, a
reissue, a revocation, a deployment and a start.

    sweep.py kill                    every point, and a second kill during the recovery of every tenth
    sweep.py errors                  every call with every error it may give
    sweep.py kill --sample 60        a sample that --seed chooses
    sweep.py alloc                   an allocation fails, or all from there on, at every place that allocates
    sweep.py kill --point issue/pool/fsync/3/KILL
    sweep.py alloc --match json_     the places whose chain of callers says so; --list only prints them

A line for each point that fails; what it left stays in the folder that the end names."""

import argparse
import concurrent.futures
import contextlib
import random
import re
import sys
import time
import traceback

import alloc
import points
import trace
from stage import Stage

SECOND = [("openat", 30, 140), ("fsync", 1, 10), ("renameat", 1, 5), ("write", 1, 14), ("sendto", 1, 8), ("close", 10, 80), ("recvfrom", 1, 30)]


def kill_points(found, rnd):
    for scenario, roles in found.items():
        for role, calls in roles.items():
            for call in calls:
                if call.name in points.KILL_CALLS:
                    yield points.Point(scenario, role, call.name, call.n, "KILL")


def with_second(chosen, rnd, every):
    """Some of the points get a second kill."""
    for i, point in enumerate(chosen):
        if i % every == every - 1:
            call, low, high = rnd.choice(SECOND)
            point = point._replace(again=f"{call}:{rnd.randint(low, high)}")
        yield point


def error_points(found, _rnd):
    for scenario, roles in found.items():
        for role, calls in roles.items():
            for call in calls:
                for error in points.errors_for(call):
                    yield points.Point(scenario, role, call.name, call.n, error)


def sample(everything, n, rnd, kind_of=lambda p: p.call):
    """n points, each kind of call of each scenario in turn, so that the few fsyncs stand beside the many reads."""
    groups = {}
    for p in everything:
        groups.setdefault((p.scenario, p.role, kind_of(p)), []).append(p)
    for group in groups.values():
        rnd.shuffle(group)
    order = sorted(groups)
    rnd.shuffle(order)
    chosen = []
    while len(chosen) < n and any(groups.values()):
        for key in order:
            if groups[key] and len(chosen) < n:
                chosen.append(groups[key].pop())
    return chosen


def choose_alloc(args, stage, rnd):
    if args.point:
        chosen = [points.parse(p) for p in args.point]
        alloc.look_at_all(stage, sorted({p.scenario for p in chosen}))
        return chosen
    everything = alloc.alloc_points(stage, args.scenario or list(points.SCENARIOS))
    found = [p for p in everything if not args.match or re.search(args.match, str(alloc.place_of(stage, p)))]
    return sample(found, args.sample, rnd, lambda p: alloc.kind_of(stage, p)) if args.sample else found


def choose(args, stage, rnd):
    if args.what == "alloc":
        return choose_alloc(args, stage, rnd)
    if args.point:
        return [points.parse(p) for p in args.point]
    scenarios = args.scenario or (list(points.SCENARIOS) if args.what == "errors" else [s for s in points.SCENARIOS if s != "restart"])
    found = {s: points.enumerate_calls(stage, s) for s in scenarios}
    everything = list((kill_points if args.what == "kill" else error_points)(found, rnd))
    chosen = sample(everything, args.sample, rnd) if args.sample else everything
    if args.what == "kill":
        chosen = list(with_second(chosen, rnd, 10))
    return chosen


RUN = {"kill": points.run_kill, "errors": points.run_error, "alloc": alloc.run_alloc}


def run(args, out=print):
    """The number of points that failed."""
    rnd = random.Random(args.seed)
    run_one = RUN[args.what]
    began = time.monotonic()
    counts = {"killed": 0, "hit": 0, "missed": 0}
    failed = 0
    with Stage() as stage:
        chosen = choose(args, stage, rnd)
        if args.list:
            for p in chosen:
                out(f"{p}  {alloc.place_of(stage, p) if args.what == 'alloc' else ''}")
            return 0
        ready = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool, contextlib.ExitStack() as stack:
            under_way = {pool.submit(run_one, stage, p): p for p in chosen}
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)
            for done in concurrent.futures.as_completed(under_way):
                try:
                    counts[done.result()] += 1
                except Exception as e:  # whatever it is, the point is not good
                    failed += 1
                    stage.keep = True
                    out(f"FAILED {under_way[done]}: {type(e).__name__}: {e}")
                    if args.verbose:
                        traceback.print_exception(e)
        took = time.monotonic() - ready
        left = f", kept in {stage.world.dir}" if failed else ""
    reached = counts["killed"] + counts["hit"]
    out(
        f"sweep {args.what}: {len(chosen)} points, {reached} reached, {counts['missed']} not, {failed} failed; {took:.0f} s and "
        f"{ready - began:.0f} s of preparation, {len(chosen) / max(took, 0.1):.1f} points/s, seed {args.seed}{left}"
    )
    if not chosen:
        out("sweep: there are no such points")
        return 1
    if not args.point and reached + failed < 0.7 * len(chosen):
        out("sweep: too many points were not reached for this to mean anything")
        return max(failed, 1)
    return failed


def arguments(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=list(RUN))
    p.add_argument("--sample", type=int, default=0, help="so many points instead of all")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=8)
    p.add_argument("--scenario", action="append", choices=list(points.SCENARIOS))
    p.add_argument("--point", action="append", help="only this one: scenario/role/call/n/action[/call:n]")
    p.add_argument("--match", help="alloc: only places whose chain of callers has this (a regular expression)")
    p.add_argument("--list", action="store_true", help="print the points and go")
    p.add_argument("--verbose", action="store_true")
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    reason = alloc.why_not() if args.what == "alloc" else None if trace.is_installed() else "strace is not installed"
    if reason:
        print(f"sweep {args.what}: skipped, {reason}")
        return 77
    return 1 if run(args) else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
