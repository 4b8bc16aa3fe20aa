# SPDX-License-Identifier: Apache-2.0
"""Domains that share something: the orders of a day. Turns in one webroot are in test_webroot.py."""

import shutil

from lib import base

NAMES = [f"n{i}.example.jp" for i in range(3)]


def n_valid(d):
    return [s["state"] for s in d.status()["domains"]].count("valid")


def test_a_claim_that_is_given_up_is_taken_by_the_next(world):
    """The one order of the day belongs to a domain whose key takes its time, until that leaves the configuration."""
    world.start_ca()
    world.start_web()
    slow = world.domain(NAMES[0], key={"type": "rsa", "bits": 6144})
    d = world.make_daemon(slow, certcentral={"max_orders_per_day": 1}).start()
    d.config["domains"].append(world.domain(NAMES[1]))
    d.write_config()
    d.reload()
    d.wait_error(NAMES[1], "max_orders_per_day")
    assert world.sandbox.orders() == []
    del d.config["domains"][0]
    d.write_config()
    d.reload()
    d.wait(NAMES[1], timeout=150)  # the key in the making is not broken off
    assert [o["common_name"] for o in world.sandbox.orders()] == [NAMES[1]]


def test_those_who_wait_to_post_do_not_wait_for_each_other(world):
    """Three orders are ready to be posted when the limit of the day becomes one, then two: each place is taken."""
    world.start_ca()
    world.start_web()
    d = world.make_daemon(*[world.domain(n) for n in NAMES], certcentral={"max_orders_per_day": 3})
    good = d.dir / "good"
    shutil.copy(d.dir / "cc-key", good)
    d.write_secret("cc-key", "not-the-right-key\n")
    d.start()
    d.wait(*NAMES, state="failed")
    assert world.sandbox.orders() == []

    d.write_secret("cc-key", good.read_text())
    for allowed in (1, 2):
        d.config["certcentral"]["max_orders_per_day"] = allowed
        d.write_config()
        d.reload()
        base.until(lambda: n_valid(d) == allowed, timeout=60, why=f"{allowed} of them valid")  # noqa: B023
        for s in d.status()["domains"]:
            if s["state"] != "valid":
                d.wait_error(s["name"], "max_orders_per_day")
        assert len(world.sandbox.orders()) == allowed
