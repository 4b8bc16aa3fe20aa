# SPDX-License-Identifier: Apache-2.0
"""The process ends at a bad moment. The ledger of the CA says whether anything was lost or bought twice."""

import os
import random
import re
import time

import pytest
from lib import base

NAME = "www.example.jp"
SEEDS = int(os.environ.get("DVCERT_CRASH_SEEDS", "15"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_kill_9_at_a_random_moment(world, seed):
    """Every request takes 150 ms, so that a random moment meets one under way more often than not."""
    d = world.simple(NAME)
    world.sandbox.fault("*", "delay", delay_ms=150, times=0)
    moments = random.Random(seed)
    for _ in range(moments.choice([1, 1, 2, 3])):
        d.start()
        time.sleep(moments.uniform(0.0, 2.0))
        d.kill9()
    d.start()
    d.wait(NAME, timeout=120)
    world.assert_good(d, NAME)


@pytest.mark.parametrize("endpoint", ["order", "check", "info", "download", "scutum"])
def test_kill_9_while_a_request_is_under_way(world, endpoint):
    """The work is done on the other side, the answer never arrives."""
    d = world.simple(NAME)
    world.sandbox.fault(endpoint, "delay", delay_ms=3000)
    d.start()
    base.until(lambda: world.sandbox.faults_hit(endpoint), timeout=30, why=f"{endpoint} is under way")
    d.kill9()
    d.start()
    d.wait(NAME, timeout=120)
    world.assert_good(d, NAME)


@pytest.mark.parametrize("endpoint", ["order", "check", "download", "scutum"])
def test_sigterm_while_a_request_is_under_way(world, endpoint):
    """stop() asserts exit 0 within 5 s; the answer would take 10."""
    d = world.simple(NAME)
    world.sandbox.fault(endpoint, "delay", delay_ms=10000)
    d.start()
    base.until(lambda: world.sandbox.faults_hit(endpoint), timeout=30, why=f"{endpoint} is under way")
    time.sleep(0.3)
    d.stop()
    world.sandbox.clear_faults()
    d.start()
    d.wait(NAME, timeout=120)
    world.assert_good(d, NAME)


@pytest.mark.parametrize("seed", range(5))
def test_sigterm_at_a_random_moment(world, seed):
    d = world.simple(*[f"n{i}.example.jp" for i in range(4)])
    moments = random.Random(1000 + seed)
    for _ in range(3):
        d.start()
        time.sleep(moments.uniform(0.0, 1.0))
        d.stop()
    d.start()
    names = [e["name"] for e in d.config["domains"]]
    d.wait(*names, timeout=120)
    for name in names:
        world.assert_good(d, name)


def test_kill_9_of_twenty_at_once(world):
    names = [f"n{i:02}.example.jp" for i in range(20)]
    d = world.simple(*names, ca=["--rate", "off"])
    moments = random.Random(7)
    for _ in range(4):
        d.start()
        time.sleep(moments.uniform(0.1, 1.5))
        d.kill9()
    d.start()
    d.wait(*names, timeout=150)
    for name in names:
        world.assert_good(d, name)


def test_second_daemon_is_refused(world):
    d = world.simple(NAME).start()
    d.wait(NAME)
    second = world.make_daemon(*d.config["domains"], folder="e")
    second.config["state_dir"] = str(d.state_dir)
    second.write_config()
    code, log = second.run_to_end()
    assert code not in (0, None) and code > 0, log
    assert re.search(rf"\b{d.proc.pid}\b", log), f"the message names the other daemon's pid: {log}"
    assert d.alive() and d.status(NAME)["state"] == "valid"
    # The first one's socket was not taken away either.
    assert d.ctl("status").code == 0


def test_second_daemon_on_the_same_socket_is_refused(world):
    d = world.simple(NAME).start()
    second = world.make_daemon(world.domain("new.example.jp"), folder="e")
    second.config["control_socket"] = str(d.socket)
    second.write_config()
    code, log = second.run_to_end()
    assert code > 0 and str(d.socket) in log
    assert d.ctl("status").code == 0


def test_damaged_state_leads_to_no_order(world):
    """An unreadable record is kept aside and shown; what it knew may have been an order, so nothing is bought."""
    d = world.simple(NAME, "new.example.jp").start()
    d.wait(NAME, "new.example.jp")
    d.stop()
    record = d.state_dir / "state" / f"{NAME}.json"
    damaged = record.read_text()[:40]
    record.write_text(damaged)
    world.sandbox.forget_requests()
    for _ in range(2):
        d.start()
        d.wait("new.example.jp")
        (shown,) = d.wait(NAME, state="failed")
        assert shown["error"]["code"] == "state_unreadable", shown
        d.stop()
    (kept,) = [p for p in record.parent.iterdir() if p.name.startswith(f"{NAME}.json.bad-")]
    assert kept.read_text() == damaged
    assert d.live(NAME).exists()
    assert world.sandbox.counts()["order"] == 0


def test_newer_state_is_not_touched(world):
    d = world.simple(NAME).start()
    d.wait(NAME)
    d.stop()
    record = d.state_dir / "state" / f"{NAME}.json"
    text = re.sub(r'"version": *1', '"version": 99', record.read_text(), count=1)
    record.write_text(text)
    world.sandbox.forget_requests()
    d.start()
    d.wait(NAME, state="failed")
    assert d.ctl("renew", NAME).code != 0
    d.stop()
    assert record.read_text() == text
    assert world.sandbox.counts()["order"] == 0


def test_lost_state_is_rebuilt_from_the_certificate(world):
    d = world.simple(NAME).start()
    d.wait(NAME)
    d.stop()
    (d.state_dir / "state" / f"{NAME}.json").unlink()
    world.sandbox.forget_requests()
    d.start()
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert world.sandbox.counts()["order"] == 0


def test_state_restored_from_an_old_backup(world):
    """The record knows less than the disk: the next certificate gets a number of its own, nothing is overwritten."""
    d = world.simple(NAME)
    d.start()
    d.wait(NAME)
    d.stop()
    record = d.state_dir / "state" / f"{NAME}.json"
    old = record.read_bytes()
    d.start()
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: d.status(NAME)["generation"] == 2, 60, why="generation 2")
    d.wait(NAME)
    d.stop()
    record.write_bytes(old)
    d.start()
    assert d.status(NAME)["generation"] == 1
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: d.status(NAME)["generation"] == 3, 60, why="generation 3")
    d.wait(NAME)
    world.assert_good(d, NAME, reissues=2, generation=3)
