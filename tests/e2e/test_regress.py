# SPDX-License-Identifier: Apache-2.0
"""Mistakes that were made once: each test failed before its cause was mended."""

import json
import signal
import subprocess
import time

import pytest
from lib import base, yamlout
from lib.sandbox import assert_one_order

NAME = "www.example.jp"
OTHER = "new.example.jp"
PROOF = ".well-known/pki-validation/fileauth.txt"


def reload(d, **changes):
    d.config.update(changes)
    d.write_config()
    d.reload()


def test_stop_while_a_removed_domain_waits_for_its_order(world):
    """The answer to the post of a removed domain is awaited; the way out must not trip over it."""
    d = world.simple(NAME, OTHER)
    world.sandbox.fault("order", "delay", delay_ms=8000, times=0)
    d.start()
    base.until(lambda: len(world.sandbox.requests("order")) == 2, why="both posts")
    reload(d, domains=d.config["domains"][:1])
    d.stop()
    world.sandbox.clear_faults()
    d.config["domains"].append(world.domain(OTHER))
    d.write_config()
    d.start()
    d.wait(NAME, OTHER, timeout=90)
    assert_one_order(world.sandbox, OTHER)


def test_what_a_removed_domain_has_to_write_is_written_on_the_way_out(world):
    d = world.simple(NAME, OTHER)
    world.sandbox.fault("order", "delay", delay_ms=2000, times=0)
    d.start()
    base.until(lambda: len(world.sandbox.requests("order")) == 2, why="both posts")
    reload(d, domains=d.config["domains"][:1])
    path = d.state_dir / "state" / f"{OTHER}.json"
    base.until(lambda: world.sandbox.orders(OTHER), why="the order")
    base.until(lambda: json.loads(path.read_text())["job"].get("order_id"), why="the order id on disk")
    d.stop()


def test_stop_while_a_reload_is_read(world):
    """The configuration that is being read comes after everything that could take it over has gone."""
    d = world.simple(NAME).start()
    d.wait(NAME)
    more = [world.domain(f"n{i}.example.jp") for i in range(400)]
    d.write_config(yamlout.dump({**d.config, "domains": d.config["domains"] + more}))
    d.proc.send_signal(signal.SIGHUP)
    d.proc.send_signal(signal.SIGTERM)
    d.stop()
    assert len(world.sandbox.orders()) == 1


def shared_world(world, *names, served=None):
    """All names have one webroot; the web server serves those of `served` (None: all) from there."""
    world.start_ca("--ca-poll", "0s")
    world.start_web()
    shared = world.web.share(*(names if served is None else served))
    for name in names:
        world.web.webroot(name)
    dcv = {"method": "http-token", "webroot": str(shared)}
    return shared, world.make_daemon(*[world.domain(n, dcv=dcv) for n in names])


def serve_from(world, name, shared):
    place = world.web.www / name
    place.rmdir()
    place.symlink_to(shared)


def test_shared_webroot_after_a_restart(world):
    """A proof that stands since before the restart is ours, whichever of the orders comes first."""
    bad, good = "bad.example.jp", "good.example.jp"
    shared, d = shared_world(world, bad, good, served=[good])
    both = d.config["domains"]
    d.config["domains"] = both[:1]
    d.write_config()
    d.start()
    d.wait_error(bad, "404")
    d.kill9()
    d.config["domains"] = both
    d.write_config()
    d.start()
    d.wait(good, timeout=60)
    serve_from(world, bad, shared)
    d.wait(bad, timeout=90)
    assert "not ours" not in d.log()
    base.until(lambda: not (shared / PROOF).exists(), why="no proof is left")


def test_failed_order_lets_the_others_have_its_webroot(world):
    """Final refusals stop that order; its proof must not stop all others of the webroot."""
    names = ["a.example.jp", "b.example.jp"]
    shared, d = shared_world(world, *names)
    world.sandbox.fault("check", "status", status=400, code="invalid_something", message="no", times=2)
    d.start()
    states = base.until(lambda: (s := {x["name"]: x["state"] for x in d.status()["domains"]}) and "failed" in s.values() and s)
    (bad,) = [n for n in names if states[n] == "failed"]
    (good,) = [n for n in names if n != bad]
    d.wait(good, timeout=60)
    assert d.status(bad)["state"] == "failed"
    assert d.ctl("renew", bad).code == 0
    d.wait(bad, timeout=60)
    for name in names:
        world.assert_good(d, name)
    base.until(lambda: not (shared / PROOF).exists(), why="no proof is left")


def test_webroot_with_a_foreign_file_is_tried_by_all(world):
    """Publishing fails; the next in line must not wait for ever without a word."""
    names = ["a.example.jp", "b.example.jp"]
    shared, d = shared_world(world, *names)
    (shared / PROOF).parent.mkdir(parents=True)
    (shared / PROOF).write_text("somebody else's\n")
    d.start()
    for name in names:
        d.wait_error(name, "not ours", timeout=30)
    (shared / PROOF).unlink()
    d.wait(*names, timeout=90)


@pytest.mark.parametrize("to", ["responder", "webroot"])
def test_other_place_for_the_proof_while_it_queues_for_the_old_one(world, to):
    bad, good = "bad.example.jp", "good.example.jp"
    port = world.ports.take()
    shared, d = shared_world(world, bad, good, served=[])
    d.config["responder"] = {"listen": f"127.0.0.1:{port}"}
    both = d.config["domains"]
    d.config["domains"] = both[:1]
    d.write_config()
    d.start()
    base.until(lambda: (shared / PROOF).exists(), why="the first proof")
    world.sandbox.fault("check", "delay", delay_ms=4000, times=0)
    # A look of ours delays only at first; then the check is under way for seconds and keeps the webroot.
    base.until(lambda: world.sandbox.requests("check"), 60, why="a check")
    reload(d, domains=both)
    base.until(lambda: d.status(good)["phase"] == "publish", why="it queues")
    if to == "responder":
        both[1]["dcv"] = {"method": "http-token", "responder": True}
    else:
        both[1]["dcv"] = {"method": "http-token", "webroot": str(world.web.webroot(good))}
    reload(d, domains=both)
    world.sandbox.clear_faults()
    if to == "responder":
        time.sleep(8)
        assert d.alive()
    else:
        d.wait(good, timeout=60)
        assert not (world.web.webroot(good) / PROOF).exists()


def test_corrected_webroot_is_used_at_once(world):
    """Whoever mends a path and reloads does not wait for the pause that the wrong one has earned."""
    world.start_ca()
    world.start_web()
    entry = world.domain(NAME)
    good = entry["dcv"]
    d = world.make_daemon({**entry, "dcv": {**good, "webroot": "/nonexistent"}}, certcentral={"poll_interval": "60s"})
    d.start()
    d.wait_error(NAME, "nonexistent")
    reload(d, domains=[{**entry, "dcv": good}])
    began = time.monotonic()
    base.until(lambda: world.sandbox.requests("check"), 20, why="a check")
    assert time.monotonic() - began < 30


def test_push_that_ends_after_its_target_was_changed(world):
    """The id names another site there: it has not got anything yet."""
    d = world.simple(NAME)
    world.sandbox.fault("scutum", "delay", delay_ms=4000)
    d.start()
    base.until(lambda: world.sandbox.requests("scutum"), 30, why="the first push")
    d.config["domains"][0]["deploy"][0]["scutum"]["id"] = "XYZ"
    reload(d)
    d.wait(NAME)
    assert [p["id"] for p in world.sandbox.pushes(NAME)][-1] == "XYZ"


def test_push_refused_for_a_key_that_was_replaced_meanwhile(world):
    d = world.simple(NAME)
    good = (d.dir / "scutum-key").read_text()
    d.write_secret("scutum-key", "wrong-key-of-scutum\n")
    world.sandbox.fault("scutum", "delay", delay_ms=4000)
    d.start()
    base.until(lambda: world.sandbox.requests("scutum"), 30, why="the first push")
    d.write_secret("scutum-key", good)
    d.reload()
    d.wait(NAME, timeout=30)


def test_other_id_of_a_target_is_pushed_to(world):
    d = world.simple(NAME).start()
    d.wait(NAME)
    d.config["domains"][0]["deploy"][0]["scutum"]["id"] = "XYZ"
    reload(d)
    base.until(lambda: [p["id"] for p in world.sandbox.pushes(NAME)] == ["ABC1234", "XYZ"], why="a push to the new id")
    d.wait(NAME)


def test_waiting_for_a_domain_that_is_removed(world):
    d = world.simple(NAME, OTHER, ca=["--issue-delay", "20s"]).start()
    began = time.monotonic()
    base.until(lambda: d.status(OTHER)["phase"] == "wait", 30, why="it waits")
    waiter = subprocess.Popen(
        [base.program("dvcertctl"), "-s", str(d.socket), "--json", "wait", OTHER, "--timeout", "15s"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=base.clean_env(),
    )  # fmt: skip
    time.sleep(1)
    reload(d, domains=d.config["domains"][:1])
    assert waiter.wait(30) == 1, f"after {time.monotonic() - began:.1f} s"
    waiter.stdout.close()
    waiter.stderr.close()


def test_removed_domain_takes_its_proof_along(world):
    """Nobody would remove it later, and it would be in the way of all others of the webroot."""
    bad, good = "bad.example.jp", "good.example.jp"
    shared, d = shared_world(world, bad, good, served=[good])
    both = d.config["domains"]
    d.config["domains"] = both[:1]
    d.write_config()
    d.start()
    d.wait_error(bad, "404")
    assert (shared / PROOF).exists()
    reload(d, domains=both[1:])
    d.wait(good, timeout=60)
    base.until(lambda: not (shared / PROOF).exists(), why="no proof is left")
    # Back again: the order of before goes on.
    serve_from(world, bad, shared)
    reload(d, domains=both)
    d.wait(bad, timeout=60)
    world.assert_good(d, bad)


def test_key_of_a_domain_that_was_removed_and_came_back(world):
    """A key that is still being made must not replace the one of the order that was placed meanwhile."""
    world.start_ca("--issue-delay", "25s")
    world.start_web()
    entry = world.domain(NAME)
    d = world.make_daemon(world.domain(OTHER), {**entry, "key": {"type": "rsa", "bits": 8192}})
    d.start()
    assert d.status(NAME)["phase"] == "prepare"
    reload(d, domains=d.config["domains"][:1])
    reload(d, domains=[*d.config["domains"], {**entry, "key": {"type": "ec", "curve": "P-256"}}])
    d.wait(NAME, timeout=90)
    world.assert_good(d, NAME)


def test_a_new_key_at_the_next_start(world):
    """systemd shows a replaced credential at the next start only: that is when a domain that failed for the key goes on."""
    d = world.simple(NAME)
    good = world.sandbox.api_key
    d.write_secret("cc-key", "0" * 32)
    d.start()
    d.wait(NAME, state="failed")
    asked = len(world.sandbox.requests())
    d.restart()
    d.wait(NAME, state="failed")
    assert len(world.sandbox.requests()) <= asked + 2, "a start must not hammer with a key that is refused"
    d.stop()
    d.write_secret("cc-key", good)
    d.start()
    d.wait(NAME)
    world.assert_good(d, NAME)


def test_a_lost_order_that_was_rejected_meanwhile(world):
    """Found by its reference and over: the next attempt has a reference of its own."""
    d = world.simple(NAME)
    world.sandbox.fault("order", "drop-after")
    world.sandbox.fault("find", "status", status=503, times=2)
    d.start()
    order = base.until(lambda: world.sandbox.orders(), why="the order")[0]
    world.sandbox.set_order(order["order_id"], status="rejected")
    d.wait(NAME, state="failed")
    assert "rejected" in d.status(NAME)["error"]["code"]
    assert d.ctl("renew", NAME).code == 0
    d.wait(NAME)
    assert len({o["alternative_order_id"] for o in world.sandbox.orders()}) == 2
