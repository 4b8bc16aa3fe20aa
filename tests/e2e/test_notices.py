# SPDX-License-Identifier: Apache-2.0
"""The notify command: who is told of what, how often, and that its own troubles are nobody else's."""

import calendar
import glob
import json
import os
import time

import pytest
from lib import base, scrape

NAME = "www.example.jp"
LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
QUIET = 7  # seconds in which a further call would have come: a round waits five for others


class Tell:
    """A program that writes down how it was called, one JSON object a line."""

    def __init__(self, folder, then="", name="tell"):
        self.path = folder / name
        self.calls_path = folder / f"{name}.calls"
        self.path.write_text(
            "#!/usr/bin/python3\nimport json, os, sys, time\n"
            f"with open({str(self.calls_path)!r}, 'a') as f:\n"
            "    f.write(json.dumps({'argv': sys.argv[1:], 'env': dict(os.environ), 'pid': os.getpid()}) + '\\n')\n"
            f"{then}\n"
        )
        os.chmod(self.path, 0o755)

    def calls(self, event=None):
        if not self.calls_path.exists():
            return []
        calls = [json.loads(line) for line in self.calls_path.read_text().splitlines()]
        return [c for c in calls if event in (None, c["env"]["DVCERT_EVENT"])]

    def wait(self, event, n=1, timeout=30):
        base.until(lambda: len(self.calls(event)) >= n, timeout, why=f"call {n} for {event}")
        return self.calls(event)


def with_tell(world, *names, then="", timeout="10s", **more):
    tell = Tell(world.dir, then)
    return world.simple(*names, notify={"command": [str(tell.path), "--quiet"], "timeout": timeout}, **more), tell


def break_key(d):
    key = (d.dir / "cc-key").read_text()
    d.write_secret("cc-key", "not-the-key")
    return key


def test_failed_and_recovered(world):
    d, tell = with_tell(world, NAME, "ok.example.jp")
    key = break_key(d)
    d.start()
    d.wait(NAME, "ok.example.jp", state="failed")
    (call,) = tell.wait("failed")
    env = call["env"]
    status = d.status(NAME)
    assert call["argv"] == ["--quiet"]
    assert set(env) - {"PWD", "SHLVL", "_", "LC_CTYPE"} == {
        "PATH", "DVCERT_API", "DVCERT_EVENT", "DVCERT_NAME", "DVCERT_NAMES", "DVCERT_COUNT", "DVCERT_NAMES_CUT",
        "DVCERT_STATE", "DVCERT_ERROR_CODE", "DVCERT_MESSAGE", "DVCERT_NOT_AFTER",
    }  # fmt: skip
    assert env["DVCERT_NAMES"] == f"ok.example.jp {NAME}" and env["DVCERT_COUNT"] == "2"
    assert env["DVCERT_API"] == "1" and env["DVCERT_NAMES_CUT"] == "0" and env["DVCERT_NOT_AFTER"] == ""
    assert env["DVCERT_STATE"] == "failed" and env["DVCERT_ERROR_CODE"] == status["error"]["code"]
    assert env["DVCERT_MESSAGE"].startswith("2 domains need a person, such as ")
    d.write_secret("cc-key", key)
    d.reload()
    d.wait(NAME, "ok.example.jp")
    (call,) = tell.wait("recovered")
    assert call["env"]["DVCERT_NAMES"] == f"ok.example.jp {NAME}" and call["env"]["DVCERT_STATE"] == "valid"
    assert call["env"]["DVCERT_ERROR_CODE"] == ""
    time.sleep(QUIET)  # nothing announces silence
    assert len(tell.calls()) == 2
    d.stop()


def test_once_a_day_over_restarts_and_kills(world):
    d, tell = with_tell(world, NAME)
    break_key(d)
    d.start()
    tell.wait("failed")
    d.kill9()
    d.start()
    d.wait(NAME, state="failed")
    time.sleep(QUIET)
    d.restart()
    time.sleep(QUIET)
    assert len(tell.calls()) == 1
    d.stop()
    # A file that is damaged costs a further call, and nothing else.
    path = d.state_dir / "state" / "notices"
    assert NAME in path.read_text() and path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"\0\xff{")
    d.start()
    tell.wait("failed", 2)
    assert "people may be told twice" in d.log()
    d.stop()


def test_a_thousand_domains_are_one_call(world):
    names = [f"n{i:04}.example.jp" for i in range(1000)]
    world.start_ca()
    tell = Tell(world.dir)
    port = world.ports.take()
    dcv = {"method": "http-token", "responder": True}
    d = world.make_daemon(
        *[{"name": n, "dcv": dcv} for n in names], responder={"listen": f"127.0.0.1:{port}"},
        notify={"command": [str(tell.path)]}, certcentral={"max_orders_per_day": 5000},
        defaults={"key": {"type": "ec", "curve": "P-256"}},
    )  # fmt: skip
    break_key(d)
    d.start()
    base.until(lambda: all(s["state"] == "failed" for s in d.status()["domains"]), 60, why="all have failed")
    base.until(lambda: sum(int(c["env"]["DVCERT_COUNT"]) for c in tell.calls("failed")) == 1000, 60, why="all are told of")
    calls = tell.calls()
    assert len(calls) <= 3, len(calls)
    told = [n for c in calls for n in c["env"]["DVCERT_NAMES"].split()]
    assert sorted(told) == names
    d.stop()


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")
@pytest.mark.skipif("san" in os.environ.get("DVCERT_BUILD", ""), reason="libfaketime and ASan exclude each other")
def test_expiring(world):
    """The CA takes no reissues while the certificate comes closer to its end than half of the time meant for its renewal."""
    d, tell = with_tell(world, NAME)
    clock = world.dir / "offset"
    clock.write_text("+0\n")
    d.env = {
        "LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    d.start()
    (status,) = d.wait(NAME)
    d.stop()
    days = int(calendar.timegm(time.strptime(status["not_after"], "%Y-%m-%dT%H:%M:%SZ")) - time.time()) // 86400
    offset = (days - 10) * 86400  # 33 days are meant for the renewal of 199
    world.sandbox.fault("reissue", "status", status=503, times=0)
    world.sandbox.clock(offset_s=offset)
    clock.write_text(f"+{offset}\n")
    d.start()
    (call,) = tell.wait("expiring", timeout=60)
    env = call["env"]
    assert env["DVCERT_NAMES"] == NAME and env["DVCERT_NOT_AFTER"] == status["not_after"]
    assert env["DVCERT_MESSAGE"].startswith(f"{NAME} expires soon and nothing follows ({status['not_after']})")
    world.sandbox.clear_faults()
    (call,) = tell.wait("recovered", timeout=90)
    assert call["env"]["DVCERT_NOT_AFTER"] > status["not_after"]
    assert [c["env"]["DVCERT_EVENT"] for c in tell.calls()] == ["expiring", "recovered"]
    d.stop()


def test_a_command_that_fails_is_called_again(world):
    then = f"n = len(open({str(world.dir / 'tell.calls')!r}).readlines())\nsys.exit('not yet' if n < 3 else 0)"
    port = world.ports.take()
    d, tell = with_tell(world, NAME, then=then, metrics={"listen": f"127.0.0.1:{port}"})
    break_key(d)
    d.start()
    calls = tell.wait("failed", 3)

    def results():
        samples = scrape.scrape(f"127.0.0.1:{port}")
        return [scrape.value(samples, "dvcertd_notify_calls_total", event="failed", result=r) for r in ("done", "failed")]

    base.until(lambda: results() == [1, 2], why="one call that worked, two that did not")
    assert {c["env"]["DVCERT_NAMES"] for c in calls} == {NAME}
    assert "not yet" in d.log()
    d.stop()


def test_a_command_that_never_works_is_given_up(world):
    d, tell = with_tell(world, NAME, then="sys.exit(75)")
    break_key(d)
    d.start()
    base.until(lambda: "given up after 4 tries" in d.log(), 60, why="it is given up")
    assert len(tell.calls()) == 4
    d.stop()


@pytest.mark.parametrize("broken", ["missing", "writable", "hangs", "floods"])
def test_a_broken_command_hurts_nobody(world, broken):
    then = {"hangs": "time.sleep(600)", "floods": "while True: print('x' * 10000)"}.get(broken, "")
    d, tell = with_tell(world, NAME, "bad.example.jp", then=then, timeout="2s")
    if broken == "missing":
        tell.path.unlink()
    elif broken == "writable":
        os.chmod(tell.path, 0o777)
    (world.web.www / "bad.example.jp").rename(world.web.www / "elsewhere")
    key = break_key(d)
    d.start()
    d.wait(NAME, state="failed")
    base.until(lambda: "notify failed: " in d.log() and "(EVENT=notice-failed)" in d.log(), 30, why="it is told")
    d.write_secret("cc-key", key)
    d.reload()
    d.wait(NAME)
    world.assert_good(d, NAME)
    d.stop()


def test_shutdown_does_not_wait_for_it(world):
    d, tell = with_tell(world, NAME, then="time.sleep(600)", timeout="1h")
    break_key(d)
    d.start()
    (call,) = tell.wait("failed")
    d.stop()
    base.until(lambda: not os.path.exists(f"/proc/{call['pid']}"), why="the program is ended")


def test_nobody_is_told_while_all_is_well(world):
    d, tell = with_tell(world, NAME)
    d.start()
    d.wait(NAME)
    time.sleep(QUIET)
    assert tell.calls() == [] and not (d.state_dir / "state" / "notices").exists()
    d.stop()
