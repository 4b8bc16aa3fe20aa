# SPDX-License-Identifier: Apache-2.0
"""The life after the first certificate: approvals, reissues inside the plan whatever is lost on the way, and the end of the plan."""

import os
import random
import re
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from lib import base
from lib.sandbox import assert_one_order
from test_faults import KINDS

NAME = "www.example.jp"
MORE = "shop.example.jp"
SEEDS = int(os.environ.get("DVCERT_CRASH_SEEDS", "6"))


def generation(d, n, timeout=60):
    base.until(lambda: d.status(NAME)["generation"] == n, timeout, why=f"generation {n}")
    return d.wait(NAME)[0]


def installed(world, *ca, **more):
    d = world.simple(NAME, ca=ca, **more).start()
    d.wait(NAME)
    return d


def order_of(world):
    return world.sandbox.orders(NAME)[-1]


def reissues_at_ca(world):
    """All that were ever taken, also those that were canceled."""
    return [c for c in order_of(world)["certificates"] if c["kind"] == "reissue"]


def live_files(d):
    return {p.name: p.read_bytes() for p in d.live(NAME).iterdir()}


# --- somebody has to approve ---


def needs_approval(world):
    """An account where everything waits, and whose API key may neither skip that nor approve."""
    world.sandbox.settings(approval="required", key_role="user")


def assert_waits_for_approval(world, d):
    shown = d.wait_error(NAME, "needs_approval")
    assert shown["state"] == "pending", "it is no failure"
    assert "approval in the CertCentral console" in shown["error"]["message"]
    assert re.search(rf"{NAME} +pending .*approval", d.ctl("status", as_json=False).out)
    # Looked at once more, and still nothing but waiting.
    world.sandbox.forget_requests()
    base.until(lambda: world.sandbox.requests("info"), 40, why="one more look")
    counts = world.sandbox.counts()
    assert counts["order"] == counts["reissue"] == counts["token"] == counts["check"] == 0, counts
    shown = d.status(NAME)
    assert shown["state"] == "pending" and shown["error"]["code"] == "needs_approval", shown


def test_order_waits_for_approval(world):
    d = world.simple(NAME)
    needs_approval(world)
    d.start()
    assert_waits_for_approval(world, d)
    d.restart()
    d.wait_error(NAME, "needs_approval")
    world.sandbox.set_order(order_of(world)["order_id"], action="approve")
    d.wait(NAME)
    world.assert_good(d, NAME)


def test_order_whose_approval_is_denied(world):
    d = world.simple(NAME)
    needs_approval(world)
    d.start()
    d.wait_error(NAME, "needs_approval")
    world.sandbox.set_order(order_of(world)["order_id"], action="reject")
    (shown,) = d.wait(NAME, state="failed")
    assert shown["error"]["code"] == "order_rejected" and "is rejected" in shown["error"]["message"], shown
    d.restart()
    assert d.status(NAME)["state"] == "failed"
    assert_one_order(world.sandbox, NAME)
    world.sandbox.settings(approval="off")
    assert d.ctl("renew", NAME).code == 0
    d.wait(NAME)
    world.assert_good(d, NAME, orders=2)


def test_reissue_waits_for_approval(world):
    d = installed(world)
    live = live_files(d)
    needs_approval(world)
    assert d.ctl("renew", NAME).code == 0
    assert_waits_for_approval(world, d)
    assert d.status(NAME)["generation"] == 1 and live_files(d) == live
    d.restart()
    d.wait_error(NAME, "needs_approval")
    world.sandbox.set_order(order_of(world)["order_id"], action="approve")
    generation(d, 2)
    world.assert_good(d, NAME, reissues=1, generation=2)
    assert len(reissues_at_ca(world)) == 1


def test_reissue_whose_approval_is_denied(world):
    d = installed(world)
    live = live_files(d)
    needs_approval(world)
    assert d.ctl("renew", NAME).code == 0
    d.wait_error(NAME, "needs_approval")
    world.sandbox.set_order(order_of(world)["order_id"], action="reject")
    (shown,) = d.wait(NAME, state="failed", timeout=90)
    assert shown["error"]["code"] == "reissue_gone" and "console" in shown["error"]["message"], shown
    assert shown["generation"] == 1 and live_files(d) == live
    assert len(reissues_at_ca(world)) == 1, "not asked for again by itself"
    world.sandbox.settings(approval="off")
    assert d.ctl("renew", NAME).code == 0
    generation(d, 2)
    world.assert_good(d, NAME, reissues=1, generation=2)


# --- a reissue and what can be lost of it ---


# 500 and 503 are one to the daemon.
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "status-500"])
def test_fault_at_a_reissue(world, kind):
    d = installed(world)
    word, keys = KINDS[kind]
    world.sandbox.fault("reissue", word, **keys)
    assert d.ctl("renew", NAME).code == 0
    generation(d, 2, timeout=90)
    world.assert_good(d, NAME, reissues=1, generation=2)
    assert world.sandbox.faults_hit("reissue") and len(reissues_at_ca(world)) == 1


@pytest.mark.parametrize("endpoint", ["info", "check", "download", "changes"])
@pytest.mark.parametrize("kind", ["drop-after", "garbage"])
def test_fault_during_a_reissue(world, endpoint, kind):
    d = installed(world)
    word, keys = KINDS[kind]
    if endpoint == "changes":
        world.sandbox.settings(issue_delay_s=3)
    world.sandbox.fault(endpoint, word, times=2, **keys)
    assert d.ctl("renew", NAME).code == 0
    generation(d, 2, timeout=90)
    world.assert_good(d, NAME, reissues=1, generation=2)
    assert world.sandbox.faults_hit(endpoint) and len(reissues_at_ca(world)) == 1


def test_reissue_lost_again_and_again(world):
    d = installed(world)
    world.sandbox.fault("reissue", "drop-after", times=3)
    world.sandbox.fault("info", "garbage", times=2)
    assert d.ctl("renew", NAME).code == 0
    generation(d, 2, timeout=90)
    world.assert_good(d, NAME, reissues=1, generation=2)
    assert world.sandbox.counts()["reissue"] == 1, "looked for, not asked for again"


def renew_until(d, n):
    """After a kill the wish itself may be lost; it is said again only where nothing is under way."""
    shown = d.status(NAME)
    if shown["generation"] < n and shown["phase"] is None:
        assert d.ctl("renew", NAME).code == 0
    return generation(d, n, timeout=90)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_kill_9_at_a_random_moment_of_a_reissue(world, seed):
    d = installed(world)
    world.sandbox.fault("*", "delay", delay_ms=150, times=0)
    moments = random.Random(seed)
    assert d.ctl("renew", NAME).code == 0
    for _ in range(moments.choice([1, 1, 2, 3])):
        time.sleep(moments.uniform(0.0, 1.5))  # the moment is the point
        d.kill9()
        d.start()
    renew_until(d, 2)
    world.assert_good(d, NAME, reissues=1, generation=2)
    assert len(reissues_at_ca(world)) == 1


@pytest.mark.parametrize("endpoint", ["reissue", "check", "info", "download"])
def test_kill_9_while_a_request_of_a_reissue_is_under_way(world, endpoint):
    d = installed(world)
    world.sandbox.forget_requests()
    world.sandbox.fault(endpoint, "delay", delay_ms=2000)
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: world.sandbox.faults_hit(endpoint), timeout=30, why=f"{endpoint} is under way")
    d.kill9()
    d.start()
    generation(d, 2, timeout=90)
    world.assert_good(d, NAME, reissues=1, generation=2)
    assert len(reissues_at_ca(world)) == 1


def test_refused_reissue(world):
    """Nothing goes on by itself, the old certificate serves, and a person can say when."""
    d = installed(world)
    live = live_files(d)
    world.sandbox.fault("reissue", "status", status=400, code="invalid_order_status", message="Not in this state.", times=0)
    assert d.ctl("renew", NAME).code == 0
    (shown,) = d.wait(NAME, state="failed")
    assert shown["error"]["code"] == "invalid_order_status" and "Not in this state." in shown["error"]["message"], shown
    assert shown["generation"] == 1 and live_files(d) == live
    time.sleep(3)  # three tempos: a loop would show
    counts = world.sandbox.counts()
    assert counts["reissue"] == 1 and counts["order"] == 1, counts
    world.sandbox.clear_faults()
    assert d.ctl("renew", NAME).code == 0
    generation(d, 2)
    world.assert_good(d, NAME, reissues=1, generation=2)


def test_reissue_without_a_random_value(world):
    """Older answers leave it to a request of its own."""
    d = installed(world)
    world.sandbox.settings(dcv_replies="old")
    world.sandbox.forget_requests()
    assert d.ctl("renew", NAME).code == 0
    generation(d, 2)
    world.assert_good(d, NAME, reissues=1, generation=2)
    counts = world.sandbox.counts()
    assert counts["reissue"] == 1 and counts["token"] == 1, counts


def test_reissue_whose_names_need_no_proof(world):
    """Issued with the answer, chain and all: one request, and no proof is put up."""
    d = installed(world)
    world.sandbox.settings(reissue_dcv="reuse")
    world.sandbox.forget_requests()
    assert d.ctl("renew", NAME).code == 0
    generation(d, 2)
    world.assert_good(d, NAME, reissues=1, generation=2)
    counts = world.sandbox.counts()
    assert counts["reissue"] == 1 and counts["n_requests"] - counts["scutum"] - counts["changes"] == 1, counts
    assert d.status(NAME)["order_valid_until"], "the end of the plan is still known"


# --- other names, another key ---


def change(d, **more):
    d.config["domains"][0].update(more)
    d.write_config()
    answer = d.ctl("reload")
    assert answer.code == 0, answer


def serve_too(world, name):
    (world.web.www / name).symlink_to(NAME)


def test_more_names(world):
    """A reload brings them by a reissue at once; it may cost money, so it counts as an order of the day."""
    d = installed(world)
    serve_too(world, MORE)
    assert d.status()["daemon"]["orders_today"] == 1
    change(d, dns_names=[MORE])
    generation(d, 2)
    world.assert_good(d, NAME, names=[NAME, MORE], reissues=1, generation=2)
    assert d.status()["daemon"]["orders_today"] == 2
    assert "names-lost" not in d.log()


def test_more_names_beyond_the_orders_of_the_day(world):
    d = installed(world, certcentral={"max_orders_per_day": 1})
    serve_too(world, MORE)
    change(d, dns_names=[MORE])
    d.wait_error(NAME, "max_orders_per_day")
    assert not reissues_at_ca(world) and d.status(NAME)["generation"] == 1
    change(d, dns_names=[])
    d.restart()
    assert not reissues_at_ca(world)


def test_fewer_names(world):
    """The old certificates end with it, 48 to 72 hours later: that is said before it happens."""
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME, dns_names=[MORE])).start()
    d.wait(NAME)
    change(d, dns_names=[])
    generation(d, 2)
    cert = world.assert_good(d, NAME, names=[NAME], reissues=1, generation=2)
    assert cert.serial_number
    assert re.search(rf"warning {NAME}: .*48 to 72 hours .*\(EVENT=names-lost", d.log())
    assert d.status()["daemon"]["orders_today"] == 1, "it costs nothing"


def test_other_order_of_names_is_no_change(world):
    world.start_ca()
    world.start_web()
    third = "api.example.jp"
    d = world.make_daemon(world.domain(NAME, dns_names=[MORE, third])).start()
    d.wait(NAME)
    change(d, dns_names=[third, MORE])
    assert d.status(NAME)["phase"] is None
    d.restart()
    d.wait(NAME)
    assert not reissues_at_ca(world) and world.sandbox.counts()["reissue"] == 0


def test_another_kind_of_key(world):
    d = installed(world)
    change(d, key={"type": "ec", "curve": "P-384"})
    generation(d, 2)
    cert = world.assert_good(d, NAME, reissues=1, generation=2)
    assert isinstance(cert.public_key(), ec.EllipticCurvePublicKey) and cert.public_key().key_size == 384


# --- the plan is ending ---


def ending(world, *ca):
    """With a window of 250 days, a plan of a year is over for the next one from its first day on."""
    world.start_ca(*ca)
    world.start_web()
    d = world.make_daemon(world.domain(NAME, renew_before="250d"), certcentral={"max_cert_days": 365}).start()
    d.wait(NAME)
    return d


def test_order_that_renews_its_predecessor(world):
    d = ending(world)
    first = order_of(world)
    refused = d.ctl("renew", NAME)
    assert refused.code == 64 and "--yes" in refused.err + refused.out, "it costs money"
    assert d.ctl("renew", NAME, "--yes").code == 0
    generation(d, 2)
    world.assert_good(d, NAME, orders=2, generation=2)
    assert order_of(world)["kind"] == "renewal" and first["kind"] == "new"


def test_order_whose_predecessor_is_refused(world):
    """The account does not know the old order any more: a certificate that runs out is worse than one without a history."""
    d = ending(world)
    world.sandbox.stop()
    world.sandbox.start()
    assert d.ctl("renew", NAME, "--yes").code == 0
    generation(d, 2)
    world.assert_good(d, NAME, orders=1, generation=2)
    assert order_of(world)["kind"] == "new"
    posts = [r["status"] for r in world.sandbox.requests("order")]
    assert posts == [400, 201], posts
    assert re.search(rf"warning {NAME}: submit: .* 400: .* without naming the old order", d.log())
    assert d.status()["daemon"]["orders_today"] == 2, "the refused post cost nothing"


@pytest.mark.parametrize("kind", ["drop-after", "truncate"])
def test_fault_at_an_order_that_renews(world, kind):
    d = ending(world)
    word, keys = KINDS[kind]
    world.sandbox.fault("order", word, **keys)
    assert d.ctl("renew", NAME, "--yes").code == 0
    generation(d, 2, timeout=90)
    world.assert_good(d, NAME, orders=2, generation=2)
    assert order_of(world)["kind"] == "renewal" and world.sandbox.faults_hit("order")
