# SPDX-License-Identifier: Apache-2.0
"""Failing allocations: the places that allocate (failalloc.c), and what must hold after one of them was refused.

A place is a chain of return addresses: up to three in libraries, then the three innermost of the program. It is the same in every run of
the same binaries, so "the first allocation of this place" is too. A library's own names are those that it exports: the nearest one."""

import bisect
import collections
import concurrent.futures
import functools
import hashlib
import mmap
import os
import pathlib
import re
import signal
import struct
import subprocess

import points
from stage import ENV, Broken, ask, base, need

SHIM = base.BUILD / "tests/crash/failalloc.so"

# struct board of failalloc.c
OFF, RECORD, ONCE, ALWAYS = range(4)
MODES = {"once": ONCE, "always": ALWAYS}
FRAMES = 6
FIELDS = ["mode", "nth", "seen", "failed", "total", "n_lost"]
TARGET_AT = 8 * len(FIELDS)
FILES_AT, N_FILES, NAME_SIZE = TARGET_AT + 8 * FRAMES, 64, 64
PLACES_AT, PLACES_MAX = FILES_AT + N_FILES * NAME_SIZE, 16384
PLACE = struct.Struct(f"<{1 + FRAMES}Q")
SIZE = PLACES_AT + PLACES_MAX * PLACE.size

EX_CONFIG = 78

Place = collections.namedtuple("Place", "id n frames chain")
Place.__doc__ = "n: how often it allocated; chain: what a person reads, innermost first."
Place.__str__ = lambda p: f"{p.id} ({p.n} times): {' < '.join(p.chain)}"


def why_not():
    """Why nothing can be refused here, or None."""
    if "san" in str(base.BUILD.name):
        return "a sanitizer has an allocator of its own"
    return None if SHIM.exists() else f"{SHIM} is not built"


class Board:
    """The file that the preloaded object and we have mapped."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        with open(self.path, "w+b") as f:
            os.truncate(f.fileno(), SIZE)
            self.map = mmap.mmap(f.fileno(), SIZE)
        self.env = {"LD_PRELOAD": str(SHIM), "DVCERT_ALLOC_FILE": str(self.path)}

    def set(self, field, value):
        struct.pack_into("<Q", self.map, 8 * FIELDS.index(field), value)

    def get(self, field):
        return struct.unpack_from("<Q", self.map, 8 * FIELDS.index(field))[0]

    def refuse(self, frames, n, how):
        struct.pack_into(f"<{FRAMES}Q", self.map, TARGET_AT, *frames)
        self.set("nth", n)
        self.set("mode", MODES[how])

    def places(self):
        """[(number of allocations, frames)]"""
        need(not self.get("n_lost"), "more places than the table of failalloc.c holds")
        names = [self.map[at : at + NAME_SIZE].rstrip(b"\0").decode() for at in range(FILES_AT, PLACES_AT, NAME_SIZE)]
        files = {name_hash(n): n for n in names if n} | {name_hash(""): "dvcertd"}
        found = (PLACE.unpack_from(self.map, at) for at in range(PLACES_AT, SIZE, PLACE.size))
        return [named(n, frames, files) for n, *frames in found if n]


def name_hash(name):
    h = 2166136261
    for c in name.encode():
        h = (h ^ c) * 16777619 & 0xFFFFFFFF
    return (h ^ h >> 16) & 0xFFFF


def named(n, frames, files):
    chain = [frame_name(files[f >> 48], f & (1 << 48) - 1) for f in frames if f]
    return Place(hashlib.sha1(" ".join(chain).encode()).hexdigest()[:8], n, tuple(frames), tuple(chain))


@functools.lru_cache
def libraries():
    """{name: path} of what the program is linked with."""
    out = subprocess.run(["ldd", base.program("dvcertd")], capture_output=True, text=True, check=True).stdout
    return {os.path.basename(p): p for p in re.findall(r"(/\S+) \(0x", out)} | {"dvcertd": base.program("dvcertd")}


@functools.lru_cache
def symbols(file):
    """Functions by address: ([address], [name])."""
    path = libraries().get(file)
    if not path:
        return [], []
    more = [] if file == "dvcertd" else ["-D"]
    out = subprocess.run(["nm", "-n", "--defined-only", *more, path], capture_output=True, text=True, check=True).stdout
    found = [(int(at, 16), name.split("@")[0]) for at, kind, name in (line.split() for line in out.splitlines()) if kind in "tTwWi"]
    return [at for at, _ in found], [name for _, name in found]


@functools.lru_cache(maxsize=None)
def frame_name(file, offset):
    """file:function+offset"""
    starts, names = symbols(file)
    i = bisect.bisect_right(starts, offset - 1) - 1
    what = f"{names[i]}+{offset - starts[i]:x}" if i >= 0 else f"{offset:x}"
    return what if file == "dvcertd" else f"{file.split('.so')[0]}:{what}"


def prepared(stage, sc):
    """The scenario up to where it begins, with our object in the daemon: (daemon, name, board)."""
    boards = {}

    def preload(d):
        boards[d] = Board(d.dir / "alloc")
        return boards[d].env

    with stage.daemons_with(preload):
        d, name = sc.prepare(stage)
    return d, name, boards[d]


def begin(stage, sc, d, name):
    """Was it acknowledged?"""
    if sc.roles == ("exec",):
        d.spawn()
        return True
    return sc.trigger(stage, d, name)


def enumerate_places(stage, scenario):
    """One undisturbed run: [Place]."""
    sc = points.SCENARIOS[scenario]
    d, name, board = prepared(stage, sc)
    board.set("mode", RECORD)
    need(begin(stage, sc, d, name), f"{scenario} is refused")
    stage.settle(d, name)
    board.set("mode", OFF)
    stage.judge(d, name, {sc.ends_with})
    d.stop()
    found = board.places()
    stage.drop(d)
    return found


def look_at_all(stage, scenarios):
    """Fills stage.places."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for scenario, found in zip(scenarios, pool.map(lambda s: enumerate_places(stage, s), scenarios)):
            stage.places[scenario] = {p.id: p for p in found}


def alloc_points(stage, scenarios):
    """Every place of every scenario, but each in the first one that has it."""
    look_at_all(stage, scenarios)
    seen = set()
    for scenario in scenarios:
        new = [p for p in stage.places[scenario] if p not in seen]
        seen.update(new)
        for place in new:
            yield from (points.Point(scenario, "alloc", place, 1, how) for how in MODES)


def place_of(stage, point):
    return stage.places[point.scenario][point.call]


def kind_of(stage, point):
    """What stands for many places in a sample: a library, and a function of ours."""
    chain = place_of(stage, point).chain
    own = [c.split("+")[0] for c in chain if ":" not in c]
    return chain[0].split(":")[0] if ":" in chain[0] else "", own[-1] if own else ""


def run_alloc(stage, point):
    """An allocation is refused, once or from there on. The process goes on and settles, or ends; "hit" or "missed"."""
    sc = points.SCENARIOS[point.scenario]
    place = place_of(stage, point)
    d, name, board = prepared(stage, sc)
    try:
        board.refuse(place.frames, point.n, point.action)
        ack = begin(stage, sc, d, name)
        base.until(lambda: board.get("failed") or points.is_over(stage, d, name), 120, every=0.1, why="refused, or done")
        hit = board.get("failed") > 0
        if hit:
            see_it_through(stage, sc, d, name, board)
        d.env = dict(ENV)
        if d.alive():
            d.stop()
        if hit:
            d.start()
            points.ensure_known(d, name)
            points.settle_and_judge(stage, sc, d, name, ack)
            d.stop()
    except Exception as e:
        raise Broken(f"{type(e).__name__}: {e}\n    at {place}") from e
    stage.drop(d)
    return "hit" if hit else "missed"


def see_it_through(stage, sc, d, name, board):
    """To the end of the process, or until all is done without anybody's help."""
    if board.get("mode") == ALWAYS:
        ended_without_memory(d)
        board.set("mode", OFF)
    base.until(lambda: d.proc.poll() is not None or can_be_asked(d), 20, every=0.1, why="ended, or answers again")
    if d.alive():
        points.ensure_known(d, name)
        base.until(lambda: points.is_over(stage, d, name), 60, every=0.1, why="over")
    if d.proc.poll() is not None:
        judge_end(sc, points.reap(d))


def ended_without_memory(d):
    """A process without any memory ends as soon as it has something to do, such as to answer."""
    try:
        base.until(lambda: d.proc.poll() is not None, 1, why="ended")
    except base.TimedOut:
        can_be_asked(d)


def can_be_asked(d):
    return ask(d, "status") is not None


def judge_end(sc, code):
    """An allocation of ours aborts. A start may also end by its own decision, but not with the code that nobody starts again after."""
    if code == -signal.SIGABRT:
        return
    need(sc.roles == ("exec",) and code > 0 and code != EX_CONFIG, f"ended with {code}")
