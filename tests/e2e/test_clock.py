# SPDX-License-Identifier: Apache-2.0
"""Clocks that jump: a suspended machine, a clock that was wrong. libfaketime moves the daemon's wall clock, the sandbox moves its own."""

import glob
import os
import re

import pytest
from lib import base

NAME = "www.example.jp"
LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
DAY = 86400

pytestmark = [
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed"),
    pytest.mark.skipif("san" in os.environ.get("DVCERT_BUILD", ""), reason="libfaketime and ASan exclude each other"),
]


def with_clock(world, d):
    """The daemon's wall clock is the real one plus what stands in this file; its monotonic clock stays."""
    path = world.dir / "offset"
    path.write_text("+0\n")
    d.env = {
        "LD_PRELOAD": LIBRARY,
        "FAKETIME_TIMESTAMP_FILE": str(path),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return path


def jump(path, seconds):
    new = path.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    os.rename(new, path)


def minutes_asked(world):
    found = [re.search(r"minutes=(\d+)", r["path"]) for r in world.sandbox.requests() if r["endpoint"] == "changes"]
    return [int(m.group(1)) for m in found if m]


def test_eight_days_of_sleep(world):
    """The order was issued while the machine slept for longer than status-changes can look back."""
    d = world.simple(NAME, ca=["--issue-delay", "5d"])
    clock = with_clock(world, d)
    d.start()
    base.until(lambda: d.status(NAME).get("phase") == "wait", 30, why="the CA works on the order")
    base.until(lambda: minutes_asked(world), 30, why="a poll")
    world.sandbox.clock(offset_s=8 * DAY)
    jump(clock, 8 * DAY)
    d.wait(NAME, timeout=60)
    assert len(world.sandbox.orders()) == 1
    assert world.sandbox.counts()["order"] == 1
    asked = minutes_asked(world)
    assert asked and max(asked) < 10080, asked
    assert not [r for r in world.sandbox.requests() if r["endpoint"] == "changes" and r["status"] == 400]


def test_clock_far_ahead_then_corrected(world):
    """A clock that was a year ahead makes a certificate look expired; set right again, nothing more is bought than was."""
    d = world.simple(NAME, certcentral={"max_orders_per_day": 2})
    clock = with_clock(world, d)
    d.start()
    d.wait(NAME)
    jump(clock, 400 * DAY)
    base.until(lambda: world.sandbox.counts()["order"] == 2, 100, why="the renewal that the wrong clock asks for")
    jump(clock, 0)
    # What the CA issued now is not valid in the daemon's year, and is good again in ours.
    d.wait(NAME, timeout=130)
    assert world.sandbox.counts()["order"] <= 2


def test_clock_goes_back(world):
    """A pause that was begun under a clock far ahead ends."""
    d = world.simple(NAME)
    clock = with_clock(world, d)
    jump(clock, 300 * DAY)
    world.sandbox.fault("order", "status", status=429, code="request_limit_exceeded", retry_after=2)
    d.start()
    base.until(lambda: d.status(NAME)["error"], 30, why="the first failure")
    d.stop()
    jump(clock, 0)
    d.start()
    d.wait(NAME, timeout=60)
    world.assert_good(d, NAME)
