# SPDX-License-Identifier: Apache-2.0
"""strace: counts the calls of one thread of a running daemon, and interrupts the N-th of a kind."""

import collections
import os
import re
import subprocess

from stage import base

LINE = re.compile(r"^(\d+) +(?:[\d.]+ )?(\w+)\((.*)\) += (-?\d+|\?)(.*)$")
PATH = re.compile(r"<([^<>]*(?:<[^<>]*>)?[^<>]*)>")

Call = collections.namedtuple("Call", "name n target")
Call.__doc__ = "The n-th call of this name; target: the path or the kind of what its first descriptor is."


def is_installed():
    return subprocess.run(["strace", "-V"], capture_output=True).returncode == 0


def threads(pid):
    return sorted(int(t) for t in os.listdir(f"/proc/{pid}/task"))


def thread_of(d, role):
    """main, or the only thread of the pool, which is there as soon as it had something to do."""
    if role == "main":
        return d.proc.pid
    others = base.until(lambda: [t for t in threads(d.proc.pid) if t != d.proc.pid], why="a pool thread")
    assert len(others) == 1, others
    return others[0]


def options(out, calls, inject=None):
    argv = ["strace", "-yy", "-s", "0", "-o", str(out), "-e", "trace=" + ",".join(calls)]
    if inject:
        argv += ["-e", f"inject={calls[0]}:{inject}"]
    return argv


class Tracer:
    """Attached to one thread when the constructor returns."""

    def __init__(self, tid, out, calls, inject=None, more=()):
        argv = options(out, calls, inject) + [*more, "-p", str(tid)]
        self.out = out
        self.proc = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=base.clean_env())
        line = self.proc.stderr.readline()
        if b"attached" not in line:
            self.end()
            raise RuntimeError(f"strace does not attach: {line!r}")

    def end(self):
        """Lets go of a thread that is still there."""
        if self.proc.poll() is None:
            self.proc.terminate()
        self.proc.wait()
        self.proc.stderr.close()


def under(out, call, inject, follow=True):
    """What to put in front of a command line to start it that way; the process that is started is the traced one."""
    return options(out, [call], inject) + ["-D"] + (["-f"] if follow else [])


def target_of(args):
    """Where a call goes to: a path below the folder of its first descriptor, or what kind of thing that is."""
    first = re.match(r"(?:AT_FDCWD|\d+)<(.*?)>(?:, \"((?:[^\"\\]|\\.)*)\"(?:\.\.\.)?)?", args)
    if not first:
        path = re.match(r"\"((?:[^\"\\]|\\.)*)\"", args)
        return path.group(1) if path else ""
    return first.group(1)


def calls_of(out):
    """What one thread did, in order."""
    seen = collections.Counter()
    found = []
    with open(out, errors="replace") as f:
        for line in f:
            m = re.match(r"^(\w+)\((.*)$", line)
            if not m:
                continue
            seen[m.group(1)] += 1
            found.append(Call(m.group(1), seen[m.group(1)], target_of(m.group(2))))
    return found


def injected(out):
    """The call that was hit, as strace wrote it, or None."""
    try:
        with open(out, errors="replace") as f:
            for line in f:
                if "(INJECTED)" in line:
                    return line.strip()
    except FileNotFoundError:
        pass
    return None
