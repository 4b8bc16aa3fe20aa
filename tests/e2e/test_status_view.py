# SPDX-License-Identifier: Apache-2.0
"""`dvcertctl status` on a terminal and elsewhere, and `--watch` that leaves the terminal as it was."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from lib import base

NAME = "www.example.jp"
ALT_ON, ALT_OFF = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture
def ready(world):
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME, scutum=False)).start()
    d.wait(NAME)
    return d


class Terminal:
    """dvcertctl on a terminal of its own."""

    def __init__(self, d, *args, rows=24, columns=80, **env):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.out = b""
        self.proc = subprocess.Popen(
            [base.program("dvcertctl"), "-s", str(d.socket), *args],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, env=base.clean_env(TERM="xterm", **env),
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, timeout=0.1):
        if select.select([self.master], [], [], timeout)[0]:
            self.out += os.read(self.master, 65536)
        return self.out

    def until(self, what, timeout=20):
        """What has come since the last call, as soon as it matches."""
        base.until(lambda: re.search(what, self.read()), timeout, every=0, why=f"{what} on the terminal")
        out, self.out = self.out, b""
        return out

    def key(self, key):
        os.write(self.master, key)

    def end(self):
        """Waits; the exit code."""
        code = self.proc.wait(20 * base.PATIENCE)
        while select.select([self.master], [], [], 0)[0]:
            self.read()
        return code

    def close(self):
        base.end_process(self.proc)
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    made = []

    def make(*args, **more):
        made.append(Terminal(*args, **more))
        return made[-1]

    yield make
    for t in made:
        t.close()


# --- one look ---


@pytest.mark.parametrize(
    ("args", "env", "coloured"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        ((), {"NO_COLOR": ""}, True),
        (("--color=never",), {}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
    ],
)
def test_colour_on_a_terminal(ready, terminal, args, env, coloured):
    t = terminal(ready, "status", *args, **env)
    assert t.end() == 0
    assert (b"\x1b[32mvalid" in t.out) == coloured and b"valid" in t.out


def test_colour_elsewhere(ready):
    assert "\x1b" not in ready.ctl("status", as_json=False).out
    assert "\x1b[32mvalid" in ready.ctl("status", "--color=always", as_json=False).out


def test_problem_below_on_a_narrow_terminal(world, terminal):
    world.start_ca()
    world.start_web()
    entry = world.domain(NAME, scutum=False)
    entry["deploy"] = [{"exec": {"command": ["/nowhere/hook"]}}, {"exec": {"command": ["/bin/true"]}}]
    d = world.make_daemon(entry).start()
    d.wait_error(NAME, "exec")
    base.until(lambda: [t["state"] for t in d.status(NAME)["deploy"]] == ["todo", "done"], 20, why="the other one is done")
    t = terminal(d, "status", "--color=never")
    assert t.end() == 0
    lines = t.out.decode().replace("\r", "").split("\n")
    assert all(len(line) <= 80 for line in lines), lines
    assert lines[0].split() == ["NAME", "STATE", "NEXT", "EXPIRES"] and lines[1].startswith(f"{NAME}  deploying")
    assert lines[2].startswith("    exec: exec:/nowhere/hook")
    assert "    1 of 2 targets undone: exec:/nowhere/hook" in lines
    wide = d.ctl("status", as_json=False).out.split("\n")
    assert "PROBLEM" in wide[0] and "1 of 2 targets undone: exec:/nowhere/hook" in wide[1]


# --- watching ---


@pytest.mark.parametrize("how", ["q", "ctrl-c", "term"])
def test_watch_and_leave(ready, terminal, how):
    t = terminal(ready, "status", "--watch", "1")
    first = t.until(rb"\x1b\[J")
    assert first.startswith(ALT_ON) and b"every 1 s" in first and NAME.encode() in first
    t.until(rb"\x1b\[J")  # and once more
    assert termios.tcgetattr(t.slave) != t.before
    if how == "term":
        t.proc.send_signal(signal.SIGTERM)
    else:
        t.key({"q": b"q", "ctrl-c": b"\x03"}[how])
    assert t.end() == 0
    assert t.out.endswith(b"\x1b[?25h" + ALT_OFF)
    assert termios.tcgetattr(t.slave) == t.before


def test_watch_draws_in_one_piece(ready, terminal):
    """Each picture begins at the top and clears what it does not cover; nothing scrolls."""
    t = terminal(ready, "status", "--watch=1", rows=10)
    t.until(rb"\x1b\[J")
    picture = t.until(rb"\x1b\[J")
    assert picture.startswith(b"\x1b[H") and b"\x1b[2J" not in picture
    assert picture.count(b"\n") < 10
    for line in picture[: picture.rindex(b"\x1b[J")].split(b"\r\n")[:-1]:
        assert line.endswith(b"\x1b[K"), line


def test_watch_marks_what_changed(ready, terminal):
    t = terminal(ready, "status", "--watch", "1", "--color=never")
    assert f"  {NAME}  valid".encode() in t.until(rb"\x1b\[J")
    assert ready.ctl("renew", NAME).code == 0
    assert t.until(rb"\* " + NAME.encode())


def test_watch_follows_the_size(ready, terminal):
    t = terminal(ready, "status", "--watch", "30", "--color=never", columns=120)
    t.until(rb"\x1b\[J")
    t.resize(24, 60)
    t.proc.send_signal(signal.SIGWINCH)
    t.until(rb"\x1b\[J", timeout=10)  # long before the next look


def test_watch_over_a_restart(ready, terminal):
    t = terminal(ready, "status", "--watch", "1")
    t.until(rb"1 valid")
    ready.stop()
    t.until(rb"dvcertd (is not running|went away)")
    assert t.proc.poll() is None
    ready.start()
    t.until(rb"1 valid")
    t.key(b"q")
    assert t.end() == 0


def test_watch_without_a_daemon(world, terminal):
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME))
    t = terminal(d, "status", "--watch")
    assert t.end() == 69
    assert b"not running" in t.out[t.out.index(ALT_OFF) :]
    assert termios.tcgetattr(t.slave) == t.before


def test_watch_one_connection(ready, terminal):
    """The same descriptor serves all looks."""
    t = terminal(ready, "status", "--watch", "1")
    t.until(rb"1 valid")
    sockets = {os.readlink(f"/proc/{t.proc.pid}/fd/{f}") for f in os.listdir(f"/proc/{t.proc.pid}/fd")}
    t.until(rb"1 valid")
    t.until(rb"1 valid")
    assert sockets == {os.readlink(f"/proc/{t.proc.pid}/fd/{f}") for f in os.listdir(f"/proc/{t.proc.pid}/fd")}
    assert [s for s in sockets if s.startswith("socket:")]


def piped(d, *args):
    return subprocess.Popen(
        [base.program("dvcertctl"), "-s", str(d.socket), *args], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env=base.clean_env(),
    )  # fmt: skip


def read_until(proc, what, timeout=30):
    text, deadline = "", time.monotonic() + timeout * base.PATIENCE
    while not re.search(what, text):
        left = deadline - time.monotonic()
        assert left > 0 and select.select([proc.stdout], [], [], left)[0], text
        chunk = proc.stdout.read1(65536)
        assert chunk, text
        text += chunk.decode()
    return text


def test_watch_appends_elsewhere(ready):
    p = piped(ready, "status", "--watch", "1")
    try:
        read_until(p, "1 valid")
        assert ready.ctl("renew", NAME).code == 0
        text = read_until(p, rf"{NAME} valid, .*\n")
        assert "\x1b" not in text
        assert all(re.match(rf"\d{{4}}-\d\d-\d\dT[\d:]+Z .*{NAME}", line) for line in text.strip().split("\n")), text
    finally:
        p.terminate()
        assert p.wait(20 * base.PATIENCE) == 0


def test_watch_as_json(ready):
    p = piped(ready, "--json", "status", "--watch", "1")
    try:
        lines = read_until(p, r"\n.*\n").strip().split("\n")
        assert all(json.loads(line)["domains"][0]["name"] == NAME for line in lines)
    finally:
        p.terminate()
        assert p.wait(20 * base.PATIENCE) == 0


def test_watch_into_a_closed_pipe(ready):
    """`dvcertctl status --watch 1 | head -1` ends."""
    p = piped(ready, "status", "--watch", "1", "--json")
    read_until(p, r"\n")
    p.stdout.close()
    assert p.wait(20 * base.PATIENCE) != 0
    p.stderr.close()
