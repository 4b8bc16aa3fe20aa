# SPDX-License-Identifier: Apache-2.0
"""kill -9 while names are proven in DNS: one order, and not one record is forgotten in the zone."""

import os
import random
import time

import pytest
from lib import base
from lib.dnsworld import world  # noqa: F401 - takes the place of conftest's

SEEDS = int(os.environ.get("DVCERT_CRASH_SEEDS", "5"))


def entries(world, names):
    return [world.entry(n, method="dns-cname-token" if i % 2 else "dns-txt-token") for i, n in enumerate(names)]


@pytest.mark.parametrize("instant", [False, True], ids=["ordinary", "instant"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_kill_9_at_a_random_moment(world, seed, instant):
    names = [f"n{i}.example.jp" for i in range(4)]
    world.start_ca("--rate", "off")
    if instant:
        world.auth_key()
    d = world.make_daemon(*entries(world, names), certcentral={"instant_issuance": instant})
    world.sandbox.fault("*", "delay", delay_ms=100, times=0)
    moments = random.Random(seed)
    for _ in range(moments.choice([1, 2, 3])):
        d.start()
        time.sleep(moments.uniform(0.0, 1.2))
        d.kill9()
    d.start()
    world.assert_done(d, *names)


def test_kill_9_while_a_record_stands(world):
    """What the record file says is enough to remove it, even when the domain's order has ended meanwhile."""
    name = "www.example.jp"
    d = world.run(world.entry(name), ca=["--issue-delay", "1h"])
    order = world.validated(name)
    assert len(world.added()) == 1
    d.kill9()
    world.sandbox.set_order(order, status="rejected")
    d.start()
    d.wait(name, state="failed")
    base.until(lambda: world.added() == [], 30, why="the record is gone")
    assert world.proofs(d, name) == []
