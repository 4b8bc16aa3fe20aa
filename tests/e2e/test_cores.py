# SPDX-License-Identifier: Apache-2.0
"""What is left of a process that dies while secrets are in its memory: no core file, whatever the limits and the folder allow.

LimitCORE= of the units is for whoever uses them; here nothing of it is in force. Each case is tried with a plain program first: where that
leaves no core either, nothing could be told."""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest
from lib import base, helper

NAME = "www.example.jp"
FATAL = [signal.SIGSEGV, signal.SIGABRT]
PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to raise the limit of core files")


def free_to_dump(folder):
    """In front of a command line: a folder that it may write to, and no limit."""
    return ["env", f"--chdir={folder}", "prlimit", "--core=unlimited:unlimited"]


def dumped(pid):
    """Waits for a child that dies of a signal: (signal, was a core written)."""
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), status
    return os.WTERMSIG(status), os.WCOREDUMP(status)


@pytest.fixture
def folder(tmp_path):
    """Where cores would be, and are for a program that hides nothing."""
    plain = tmp_path / "plain"
    plain.mkdir()
    proc = subprocess.Popen([*free_to_dump(plain), "sleep", "60"], env=base.clean_env(), stdin=subprocess.DEVNULL)
    base.until(lambda: pathlib.Path(f"/proc/{proc.pid}/comm").read_text() == "sleep\n", why="sleep runs")
    proc.send_signal(signal.SIGSEGV)
    died = dumped(proc.pid)
    proc.returncode = -died[0]
    if not died[1]:
        pytest.skip(f"no program leaves a core here (core_pattern: {PATTERN.read_text().strip()})")
    ours = tmp_path / "ours"
    ours.mkdir()
    ours.chmod(0o777)
    return ours


def memory_has(pid, text):
    """Is it anywhere in the memory of this process? Root may look, dumpable or not."""
    with open(f"/proc/{pid}/maps") as f:
        areas = [re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line) for line in f]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for area in filter(None, areas):
            start, end = (int(x, 16) for x in area.groups())
            mem.seek(start)
            if text in mem.read(end - start):
                return True
    return False


@pytest.mark.parametrize("number", FATAL, ids=lambda n: n.name)
def test_the_daemon_leaves_no_core(world, folder, number):
    d = world.simple(NAME)
    plain = d._argv
    d._argv = lambda *args: [*free_to_dump(folder), *plain(*args)]
    d.start()
    d.wait(NAME)
    assert os.readlink(f"/proc/{d.proc.pid}/cwd") == str(folder)
    limits = pathlib.Path(f"/proc/{d.proc.pid}/limits").read_text()
    assert re.search(r"^Max core file size +unlimited +unlimited", limits, re.M), limits
    assert memory_has(d.proc.pid, world.sandbox.api_key.encode()), "there is nothing to hide"
    proc, d.proc = d.proc, None
    proc.send_signal(number)
    died = dumped(proc.pid)
    proc.returncode = -number
    assert died == (number, False)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("number", FATAL, ids=lambda n: n.name)
def test_the_helper_leaves_no_core(folder, number):
    """It dies where it syncs the copy of a key, so the key is in its memory."""

    def strace(log):
        return ["strace", "-D", "-y", "-o", str(log), "-e", "trace=fsync", "-e", f"inject=fsync:signal={number.name}:when=1"]

    box = helper.Box()
    try:
        box.install()
        target = box.files(key=box.dest / "key.pem")
        box.configure()
        log, plain_log = box.dir / "strace", box.dir / "strace.plain"

        # the same death of a program that hides nothing
        other = subprocess.Popen([*free_to_dump(folder), *strace(plain_log), "sync", str(box.file)], env=base.clean_env())
        died = dumped(other.pid)
        other.returncode = -number
        assert died == (number, True), "the control"
        for core in folder.iterdir():
            core.unlink()

        argv = [*free_to_dump(folder), *strace(log), *box.argv()]
        proc = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=base.clean_env())
        proc.stdin.write(box.request(target))
        proc.stdin.close()
        died = dumped(proc.pid)
        proc.returncode = -number
        said = proc.stderr.read()
        assert died == (number, False), said
        assert str(box.dest) in log.read_text() and not (box.dest / "key.pem").exists(), said
        assert list(folder.iterdir()) == []
    finally:
        box.close()
