# SPDX-License-Identifier: Apache-2.0
"""Programs after a renewal (`exec` targets), through the whole daemon: what they are told, and every way in which they may end."""

import json
import os
import pathlib
import signal

import pytest
from lib import base, pki

NAME = "www.example.jp"
OTHER = "example.jp"

# Notes how it was called. Its folder's file "todo" holds Python, a line for each call ("" = nothing); the last line stays.
HOOK = """#!/usr/bin/python3 -I
import json, os, signal, subprocess, sys, time
folder = os.path.dirname(os.path.abspath(__file__))
note = dict(argv=sys.argv[1:], env=open("/proc/self/environ").read().split("\\0")[:-1], pid=os.getpid(), uid=os.getuid())
with open(folder + "/todo") as f:
    lines = f.read().split("\\n")
if len(lines) > 1:
    with open(folder + "/todo.new", "w") as f:
        f.write("\\n".join(lines[1:]))
    os.rename(folder + "/todo.new", folder + "/todo")
with open(folder + "/calls", "a") as f:
    f.write(json.dumps(note) + "\\n")
exec(lines[0])
"""


class Hook:
    def __init__(self, world, name="hook"):
        self.dir = world.dir / name
        self.dir.mkdir()
        self.path = self.dir / "hook"
        self.path.write_text(HOOK)
        self.path.chmod(0o755)
        self.todo("")

    def todo(self, *lines):
        (self.dir / "todo").write_text("\n".join(lines))

    def target(self, *args, **more):
        return {"exec": {"command": [str(self.path), *args], **more}}

    @property
    def name(self):
        return f"exec:{self.path}"

    def calls(self):
        try:
            return [json.loads(line) for line in (self.dir / "calls").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def wait_calls(self, n, timeout=30.0):
        return base.until(lambda: len(self.calls()) >= n and self.calls(), timeout, why=f"{n} calls of {self.path}")


@pytest.fixture
def prepare(world):
    """A CA, a web server and a daemon that is not started, whose one domain has these targets."""

    def make(*targets, **more):
        world.start_ca()
        world.start_web()
        entry = world.domain(NAME, scutum=False, **more)
        entry["deploy"] = list(targets)
        return world.make_daemon(entry)

    return make


def target(d, name):
    (found,) = [t for t in d.status(NAME)["deploy"] if t["target"] == name]
    return found


def wait_target(d, name, state, timeout=30.0):
    return base.until(lambda: target(d, name)["state"] == state and target(d, name), timeout, why=f"{name} is {state}")


def failing(d, pattern):
    """The domain shows this problem, and its certificate is installed all the same."""
    shown = d.wait_error(NAME, pattern)
    assert shown["state"] == "deploying" and shown["generation"] == 1, shown
    pki.assert_installed(d, d.config["certcentral"]["ca_file"], NAME)
    return shown


def is_gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


# --- what a hook is told ---


def test_environment(world, prepare):
    """Exactly what the contract names, and nothing of the daemon's own."""
    hook = Hook(world)
    d = prepare(hook.target("a word", "$(id)"), dns_names=[OTHER])
    d.env = {"CANARY": "secret", "CREDENTIALS_DIRECTORY": str(d.dir), "LANG": "ja_JP.UTF-8"}
    (shown,) = d.start().wait(NAME)
    assert target(d, hook.name)["state"] == "done" and target(d, hook.name)["at"]
    (call,) = hook.calls()
    live = str(d.live(NAME))
    assert call["argv"] == ["a word", "$(id)"]
    assert dict(e.split("=", 1) for e in call["env"]) == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "DVCERT_API": "1",
        "DVCERT_NAME": NAME,
        "DVCERT_NAMES": f"{NAME} {OTHER}",
        "DVCERT_DIR": live,
        "DVCERT_CERT": f"{live}/cert.pem",
        "DVCERT_CHAIN": f"{live}/chain.pem",
        "DVCERT_FULLCHAIN": f"{live}/fullchain.pem",
        "DVCERT_KEY": f"{live}/privkey.pem",
        "DVCERT_SERIAL": shown["serial"],
        "DVCERT_NOT_AFTER": shown["not_after"],
        "RENEWED_LINEAGE": live,
        "RENEWED_DOMAINS": f"{NAME} {OTHER}",
    }


def test_sees_the_new_files(world, prepare):
    """What the variables name is there, readable, and already the new certificate; for each generation anew."""
    hook = Hook(world)
    copy = "import shutil; shutil.copy(os.environ['DVCERT_CERT'], folder); shutil.copy(os.environ['DVCERT_KEY'], folder)"
    hook.todo(copy)
    d = prepare(hook.target()).start()
    d.wait(NAME)
    first = pki.load_cert(hook.dir / "cert.pem")
    assert d.ctl("renew", NAME).code == 0
    hook.wait_calls(2)
    base.until(lambda: d.status(NAME)["generation"] == 2, 30, why="the second generation")
    d.wait(NAME)
    second, _ = pki.assert_key_matches(hook.dir)
    assert pki.serial_hex(second) == d.status(NAME)["serial"] and second.serial_number != first.serial_number
    assert len(hook.calls()) == 2


# --- how it ends ---


def test_fails_three_times(world, prepare):
    """Visible until it is done, tried again after growing pauses, and never again after that, whatever is restarted."""
    hook = Hook(world)
    hook.todo(*["print('no luck'); sys.exit(3)"] * 3, "")
    d = prepare(hook.target()).start()
    shown = failing(d, "exit.*failed with exit code 3: no luck")
    assert shown["error"]["code"] == "exit" and shown["error"]["attempts"] >= 1, shown
    assert target(d, hook.name)["state"] != "done"
    hook.wait_calls(2)
    assert d.status(NAME)["error"]["code"] == "exit", "shown also while it is tried again"
    d.restart()  # the to-do outlives the daemon
    assert d.status(NAME)["error"] or target(d, hook.name)["state"] == "done"
    d.wait(NAME)
    assert d.status(NAME)["error"] is None
    assert len(hook.calls()) == 4
    d.restart()
    d.reload()
    assert d.status(NAME)["state"] == "valid" and len(hook.calls()) == 4
    assert d.ctl("deploy", NAME).code == 0  # but by word of command it is
    hook.wait_calls(5)
    d.wait(NAME)
    assert len(world.sandbox.orders(NAME)) == 1


def test_asks_for_later(world, prepare):
    hook = Hook(world)
    hook.todo("print('locked'); sys.exit(75)", "")
    d = prepare(hook.target()).start()
    hook.wait_calls(2)
    d.wait(NAME)
    assert len(hook.calls()) == 2
    assert "asks to be called again later: locked" in d.log()


def test_signal(world, prepare):
    hook = Hook(world)
    hook.todo("os.kill(os.getpid(), signal.SIGSEGV)", "")
    d = prepare(hook.target()).start()
    d.wait(NAME)
    assert "was ended by signal 11" in d.log()


def test_hangs(world, prepare):
    """The time limit ends the program and all that it started, also one that does not want to end."""
    hook = Hook(world)
    hang = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "p = subprocess.Popen(['/bin/sh', '-c', 'trap \"\" TERM; while :; do sleep 1; done']); "
        "open(folder + '/child', 'w').write(str(p.pid)); print('hanging', flush=True); time.sleep(1000)"
    )
    hook.todo(hang, "")
    d = prepare(hook.target(timeout="1s")).start()
    failing(d, "timeout.*did not end within 1 s: hanging")
    child = int((hook.dir / "child").read_text())
    assert is_gone(hook.calls()[0]["pid"]) and base.until(lambda: is_gone(child), 5, why="the child is gone")
    d.wait(NAME)
    assert len(hook.calls()) == 2


def test_hang_holds_up_nobody(world, prepare):
    """Status answers while a hook hangs, and SIGTERM ends the daemon in time and the hook with it."""
    hook = Hook(world)
    hook.todo("time.sleep(1000)", "")
    d = prepare(hook.target(timeout="10m")).start()
    (call,) = hook.wait_calls(1)
    assert d.status(NAME)["state"] == "deploying"
    d.stop()  # within 5 s, says stop()
    assert base.until(lambda: is_gone(call["pid"]), 5, why="the hook is gone")
    d.start()
    d.wait(NAME)
    assert len(hook.calls()) == 2


def test_killed_in_the_middle(world, prepare):
    """After kill -9 nobody knows what the hook did, so it is called again."""
    hook = Hook(world)
    hook.todo("time.sleep(1000)", "")
    d = prepare(hook.target()).start()
    (call,) = hook.wait_calls(1)
    d.kill9()
    os.kill(call["pid"], signal.SIGKILL)  # a service manager would
    d.start()
    d.wait(NAME)
    assert len(hook.calls()) == 2
    assert len(world.sandbox.orders(NAME)) == 1


def test_floods(world, prepare):
    """Of hundreds of megabytes the last words are kept."""
    hook = Hook(world)
    flood = "[sys.stdout.write('x' * 9999 + chr(10)) for i in range(20000)]; sys.stdout.flush(); "
    hook.todo(flood + "sys.exit('the reason')", flood + "sys.exit(0)")
    d = prepare(hook.target()).start()
    shown = failing(d, "exit code 1.*the reason")
    assert len(shown["error"]["message"]) <= 400
    d.wait(NAME)
    assert len(d.log()) < 300_000
    assert d.status(NAME)["error"] is None


def test_writes_control_characters(world, prepare):
    hook = Hook(world)
    hook.todo("sys.stdout.buffer.write(b'\\x1b[31mred\\n\\xff\\0'); sys.stdout.flush(); sys.exit(1)")
    d = prepare(hook.target()).start()
    shown = failing(d, "exit code 1")
    assert "\x1b" not in shown["error"]["message"] and "\\x1b[31mred" in shown["error"]["message"], shown
    text = d.ctl("status", NAME, as_json=False).out
    assert "\x1b[31mred" not in text


def test_leaves_children_behind(world, prepare):
    """What it leaves in its group goes with it; the hook is done all the same."""
    hook = Hook(world)
    hook.todo("p = subprocess.Popen(['/bin/sleep', '1000']); open(folder + '/child', 'w').write(str(p.pid))")
    d = prepare(hook.target(timeout="60s")).start()
    d.wait(NAME)
    child = int((hook.dir / "child").read_text())
    assert base.until(lambda: is_gone(child), 5, why="the child is gone")
    assert len(hook.calls()) == 1


# --- which programs are run at all ---


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_not_writable_by_others(world, prepare, mode):
    hook = Hook(world)
    hook.path.chmod(mode)
    d = prepare(hook.target()).start()
    failing(d, "exec.*only its owner may write to it")
    assert hook.calls() == []
    hook.path.chmod(0o755)
    d.wait(NAME)
    assert len(hook.calls()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_not_of_somebody_else(world, prepare):
    hook = Hook(world)
    os.chown(hook.path, 45003, 45003)
    d = prepare(hook.target()).start()
    failing(d, "must belong to root or to the daemon's user")
    assert hook.calls() == []
    os.chown(hook.path, 0, 0)
    d.wait(NAME)


def test_not_there(world, prepare):
    hook = Hook(world)
    hidden = hook.path.with_name("hidden")
    hook.path.rename(hidden)
    d = prepare(hook.target()).start()
    failing(d, "exec.*No such file or directory")
    hidden.rename(hook.path)
    d.wait(NAME)


# --- several of them ---


def test_one_that_fails_holds_up_nobody(world, prepare):
    """The second runs at once; and once more when the first is done, because what it saw was from before."""
    first, second = Hook(world, "one"), Hook(world, "two")
    first.todo("sys.exit(1)", "sys.exit(1)", "")
    d = prepare(first.target(), second.target()).start()
    wait_target(d, second.name, "done")
    shown = d.status(NAME)
    assert shown["state"] == "deploying" and shown["error"]["code"] == "exit", shown
    d.wait(NAME)
    assert len(first.calls()) == 3
    assert len(second.calls()) == 2


def test_order_and_numbers(world, prepare):
    """In the order of the YAML, one after the other; the same program twice is two targets."""
    hook, last = Hook(world), Hook(world, "last")
    hook.todo("time.sleep(0.3); open(folder + '/ended', 'a').write(sys.argv[1])")
    last.todo("open(folder + '/seen', 'w').write(open(folder + '/../hook/ended').read())")
    d = prepare(hook.target("a"), hook.target("b"), last.target()).start()
    d.wait(NAME)
    assert [t["target"] for t in d.status(NAME)["deploy"]] == [hook.name, hook.name + "#2", last.name]
    assert [c["argv"] for c in hook.calls()] == [["a"], ["b"]]
    assert (last.dir / "seen").read_text() == "ab"


def test_added_later(world, prepare):
    """A target that was not there when the certificate came is a to-do now; those that are done stay done."""
    first, second = Hook(world, "one"), Hook(world, "two")
    d = prepare(first.target()).start()
    d.wait(NAME)
    d.config["domains"][0]["deploy"].append(second.target())
    d.write_config()
    d.reload()
    second.wait_calls(1)
    d.wait(NAME)
    assert len(first.calls()) == 1 and len(second.calls()) == 1
    assert len(world.sandbox.orders(NAME)) == 1
