#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Power cuts on real file systems. The state folder lies on ext4 or xfs in a loop device; before a call of an issuance that the
seed chooses, the daemon is killed and the file system stops without flushing its log. Then it is mounted again, the disk is judged
against the CA's ledger, and the daemon has to finish.

    powercut.py [--cuts 20] [--seed 1] [--fs ext4] [--fs xfs]

Mounts are made in a mount namespace of this process, over loop devices that free themselves: however it ends, they end too."""

import argparse
import concurrent.futures
import contextlib
import fcntl
import os
import pathlib
import queue
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import points
import trace
from disk import judge_disk
from stage import Stage, base, need

from lib import netns

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32): EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
NO_LOG_FLUSH = 2
# mkfs, size of the image, the check that wants it clean
KINDS = {
    "ext4": (["mkfs.ext4", "-q", "-F"], "64M", ["e2fsck", "-fn"]),
    "xfs": (["mkfs.xfs", "-q"], "320M", ["xfs_repair", "-n"]),
}
# The fsyncs and what stands between them; a cut in front of a read is a cut after the call before.
CUT_CALLS = "openat write fsync renameat renameat2 symlinkat mkdirat unlinkat fchmod connect sendto recvfrom".split()


def run(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, env=base.clean_env())
    if done.returncode:
        raise OSError(f"{argv[0]}: exit {done.returncode}: {done.stdout}{done.stderr}")


def why_not(kind):
    """What is missing here, or None."""
    missing = [p for p in ("strace", "losetup", KINDS[kind][0][0], KINDS[kind][2][0]) if not shutil.which(p, path="/usr/sbin:/usr/bin:/sbin:/bin")]
    if missing:
        return f"{', '.join(missing)} not installed"
    return "only root can mount" if os.geteuid() else None


class Disk:
    """One file system over a loop device. Use it as `with`."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.image = pathlib.Path(folder) / f"{kind}.img"
        self.fresh = pathlib.Path(folder) / f"{kind}.fresh"
        self.mount_point = pathlib.Path(folder) / kind
        self.mount_point.mkdir()
        self.is_mounted = False

    def __enter__(self):
        mkfs, size, _check = KINDS[self.kind]
        run("truncate", "-s", size, self.fresh)
        run(*mkfs, self.fresh)
        return self

    def __exit__(self, *_exc):
        self.unmount()

    def renew(self):
        run("cp", "--sparse=always", self.fresh, self.image)
        self.mount()

    def mount(self):
        run("mount", "-o", "loop", "-t", self.kind, self.image, self.mount_point)
        self.is_mounted = True

    def unmount(self):
        if self.is_mounted:
            run("umount", self.mount_point)
            self.is_mounted = False

    def cut(self):
        fd = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def power_on(self):
        """The journal is replayed by the first mount; what it leaves must be clean."""
        self.unmount()
        self.mount()
        self.unmount()
        run(*KINDS[self.kind][2], self.image)
        self.mount()


def one_cut(stage, disk, role, call, n):
    """A daemon with its state on the disk; power is cut before its n-th call of this name: was that reached?"""
    disk.renew()
    state_dir = disk.mount_point / "state"
    name = stage.new_name()
    d = stage.daemon(state_dir=state_dir)
    try:
        d.start()
        d.reload()
        tracer = trace.Tracer(trace.thread_of(d, role), d.dir / "strace", [call], f"signal=KILL:when={n}")
        stage.add_domain(d, name)
        base.until(lambda: points.is_over(stage, d, name), 60, why="killed, or done")
        reached = d.proc.poll() is not None
        tracer.end()
        disk.cut()
        if d.alive():
            d.kill9()
        d.proc = None
        disk.power_on()
        judge_disk(stage, state_dir, name)
        d.start()
        stage.settle(d, name)
        stage.judge(d, name, {(1, 0)})
        d.stop()
    finally:
        if d.alive():
            d.kill9()
    stage.drop(d)
    return reached


def cuts(stage, found, n, rnd):
    """Half of them at the pool's fsyncs and renames, where things become true."""
    every = [(role, c.name, c.n) for role in ("main", "pool") for c in found[role] if c.name in CUT_CALLS]
    sharp = [c for c in every if c[1] in ("fsync", "renameat", "sendto")]
    return [rnd.choice(sharp if i % 2 else every) for i in range(n)]


def run_kind(stage, kind, folder, found, args):
    """Several at a time, each job with a disk of its own."""
    chosen = cuts(stage, found, args.cuts, random.Random(f"{kind} {args.seed}"))
    began = time.monotonic()
    failed = reached = 0
    free = queue.SimpleQueue()

    def work(role, call, n):
        disk = free.get()
        try:
            return one_cut(stage, disk, role, call, n)
        finally:
            disk.unmount()
            free.put(disk)

    with contextlib.ExitStack() as stack:
        for i in range(args.jobs):
            place = pathlib.Path(folder) / f"{kind}{i}"
            place.mkdir()
            free.put(stack.enter_context(Disk(kind, place)))
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(args.jobs))
        under_way = {pool.submit(work, *c): c for c in chosen}
        for done in concurrent.futures.as_completed(under_way):
            try:
                reached += done.result()
            except Exception as e:  # whatever it is, the cut is not good
                failed += 1
                stage.keep = True
                print(f"FAILED {kind}/{'/'.join(map(str, under_way[done]))}: {type(e).__name__}: {e}")
    took = time.monotonic() - began
    print(
        f"powercut {kind}: {args.cuts} cuts, {reached} before the end, {failed} failed; {took:.0f} s, {args.cuts / took:.1f} cuts/s, "
        f"seed {args.seed}"
    )
    need(reached + failed >= args.cuts // 2, "too few cuts were reached for this to mean anything")
    return failed


def own_mounts():
    netns.call("unshare", netns.CLONE_NEWNS)
    netns.mount("none", "/", netns.MS_REC | netns.MS_PRIVATE)


def arguments(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cuts", type=int, default=20, help="for each file system")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=6)
    p.add_argument("--fs", action="append", choices=list(KINDS))
    return p.parse_args(argv)


def usable_kinds(args):
    """Those that can be mounted here, each after a try; the others are named with the reason."""
    kinds = []
    for kind in args.fs or list(KINDS):
        reason = why_not(kind)
        if not reason:
            with tempfile.TemporaryDirectory(prefix="dvcut") as folder:
                try:
                    with Disk(kind, folder) as disk:
                        disk.renew()
                    kinds.append(kind)
                except OSError as e:
                    reason = str(e)
        if reason:
            print(f"powercut {kind}: SKIPPED: {reason}")
    return kinds


def main(argv=None):
    args = arguments(argv)
    if os.geteuid() == 0:
        try:
            own_mounts()
        except OSError as e:
            print(f"powercut: SKIPPED: no mount namespace of its own: {e}")
            return 77
    kinds = usable_kinds(args)
    if not kinds:
        return 77
    with tempfile.TemporaryDirectory(prefix="dvcut", dir="/dev/shm") as folder, Stage() as stage:
        found = points.enumerate_calls(stage, "issue")
        with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
            failed = sum(pool.map(lambda kind: run_kind(stage, kind, folder, found, args), kinds))
        if failed:
            print(f"powercut: logs are kept in {stage.world.dir}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
