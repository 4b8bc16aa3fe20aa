# SPDX-License-Identifier: Apache-2.0
"""The other side misbehaves. Whatever it does, money is spent once, and what can mend itself does."""

import time

import pytest
from lib import base
from lib.sandbox import assert_one_order

NAME = "www.example.jp"

KINDS = {
    "status-503": ("status", {"status": 503}),
    "status-500": ("status", {"status": 500}),
    "status-429": (
        "status",
        {"status": 429, "code": "request_limit_exceeded", "message": "Service unavailable", "retry_after": 2},
    ),
    "delay": ("delay", {"delay_ms": 1500}),
    "drop-before": ("drop-before", {}),
    "drop-after": ("drop-after", {}),
    "truncate": ("truncate", {}),
    "garbage": ("garbage", {}),
}
ENDPOINTS = ["order", "find", "info", "token", "check", "changes", "download", "scutum"]

# These are asked only after the answer to an order was lost.
ONLY_AFTER_LOSS = {"find", "token"}


def prepare(world, endpoint):
    # While the CA takes its time, status-changes is asked.
    ca = ["--issue-delay", "4s"] if endpoint == "changes" else []
    d = world.simple(NAME, ca=ca)
    if endpoint in ONLY_AFTER_LOSS:
        world.sandbox.fault("order", "drop-after")
    return d


# Once, and for some kinds three times in a row. Not with orders that are lost before they arrive: each is looked for over
# 15 units and more (test_order_that_never_arrived).
CASES = [(e, k, 1) for e in ENDPOINTS for k in KINDS]
CASES += [(e, k, 3) for e in ENDPOINTS for k in ("status-503", "drop-after", "garbage") if (e, k) != ("order", "status-503")]


@pytest.mark.parametrize("endpoint, kind, times", CASES)
def test_passing_fault(world, endpoint, kind, times):
    d = prepare(world, endpoint)
    word, keys = KINDS[kind]
    world.sandbox.fault(endpoint, word, times=times, **keys)
    d.start()
    d.wait(NAME, timeout=150)
    world.assert_good(d, NAME)
    assert world.sandbox.faults_hit(endpoint), "the fault was never met"


def test_order_lost_again_and_again(world):
    """Three answers lost, the order was placed with the first: found, not bought again."""
    d = world.simple(NAME)
    world.sandbox.fault("order", "drop-after", times=3)
    world.sandbox.fault("find", "drop-before", times=3)
    world.sandbox.fault("info", "garbage", times=2)
    d.start()
    d.wait(NAME, timeout=120)
    world.assert_good(d, NAME)
    assert world.sandbox.counts()["order"] == 1


def test_order_that_is_found_late(world):
    """The list of orders lags: "not found" is not "not ordered"."""
    d = world.simple(NAME)
    world.sandbox.settings(find_lag_s=8)
    world.sandbox.fault("order", "drop-after")
    d.start()
    d.wait(NAME, timeout=120)
    world.assert_good(d, NAME)
    assert world.sandbox.counts()["find"] >= 2


@pytest.mark.parametrize("find_none", ["404", "empty"])
def test_order_that_never_arrived(world, find_none):
    """Only after several looks over a while the order counts as never placed, and is placed again."""
    d = world.simple(NAME, ca=["--find-none", find_none])
    world.sandbox.fault("order", "drop-before")
    began = time.monotonic()
    d.start()
    d.wait(NAME, timeout=120)
    world.assert_good(d, NAME)
    orders = world.sandbox.requests("order")
    assert len(orders) == 2 and world.sandbox.counts()["find"] >= 3
    assert time.monotonic() - began >= 15


def test_everything_fails_now_and_then(world):
    names = [f"n{i}.example.jp" for i in range(6)]
    d = world.simple(*names)
    for skip, kind in enumerate(("drop-after", "truncate", "status", "garbage", "drop-after", "truncate")):
        world.sandbox.fault("*", kind, times=2, skip=3 + 5 * skip)
    d.start()
    d.wait(*names, timeout=180)
    for name in names:
        world.assert_good(d, name)


FINAL = {
    "order-400": ("order", 400, "csr_invalid_cannot_parse"),
    "order-400-unknown": ("order", 400, "some_new_code"),
    "order-403": ("order", 403, "access_denied|missing_permission"),
    "order-401": ("order", 401, "unauthorized"),
    "order-404-product": ("order", 404, "not_found|product"),
    "order-404-route": ("order", 404, "not_found|route"),
    "check-403": ("check", 403, "access_denied|missing_permission"),
    "download-403": ("download", 403, "access_denied|missing_permission"),
}


@pytest.mark.parametrize("case", FINAL)
def test_final_refusal_waits_for_a_person(world, case):
    endpoint, status, code = FINAL[case]
    d = world.simple(NAME)
    world.sandbox.fault(endpoint, "status", status=status, code=code, message="No way, said the CA", times=0)
    d.start()
    (shown,) = d.wait(NAME, state="failed")
    assert code in shown["error"]["code"] and "No way, said the CA" in shown["error"]["message"]
    assert d.ctl("wait", NAME, "--timeout", "5s").code == 1
    before = world.sandbox.counts()
    time.sleep(5)  # five units of all waiting times: a loop would show
    assert world.sandbox.counts() == before, "it goes on asking"
    assert len(world.sandbox.orders(NAME)) <= 1

    # The cause is mended, and a person says so.
    world.sandbox.clear_faults()
    assert d.ctl("reload").code == 0
    if d.status(NAME)["state"] == "failed":
        answer = d.ctl("renew", NAME)
        assert answer.code == 0, answer
    d.wait(NAME, timeout=60)
    world.assert_good(d, NAME)


def test_final_refusal_survives_a_restart(world):
    d = world.simple(NAME)
    world.sandbox.fault("order", "status", status=400, code="csr_invalid_cannot_parse", message="no", times=0)
    d.start()
    d.wait(NAME, state="failed")
    before = world.sandbox.counts()
    d.restart()
    d.wait(NAME, state="failed")
    time.sleep(3)
    assert world.sandbox.counts() == before


@pytest.mark.parametrize("variant", ["other-key", "expired", "other-names", "self-signed", "no-chain", "zip", "ca"])
def test_wrong_certificate_is_never_installed(world, variant):
    d = world.simple(NAME)
    world.sandbox.fault("download", "wrong-cert", variant=variant, times=0)
    d.start()
    base.until(lambda: len(world.sandbox.requests("download")) >= 2, timeout=60, why="a second download")
    assert not d.live(NAME).exists() and not world.sandbox.pushes(NAME)
    shown = d.wait_error(NAME, ".")
    assert shown["state"] in ("retrying", "pending", "failed")
    world.sandbox.clear_faults()
    d.wait(NAME, timeout=90)
    world.assert_good(d, NAME)


def test_wrong_certificate_at_renewal_keeps_the_old_one(world):
    d = world.simple(NAME).start()
    d.wait(NAME)
    old = (d.live(NAME) / "fullchain.pem").read_text()
    world.sandbox.fault("download", "wrong-cert", variant="other-key", times=0)
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: len(world.sandbox.requests("download")) >= 3, timeout=60, why="two bad downloads")
    assert (d.live(NAME) / "fullchain.pem").read_text() == old
    world.sandbox.clear_faults()
    base.until(lambda: d.status(NAME)["generation"] == 2, timeout=60, why="generation 2")
    d.wait(NAME)
    world.assert_good(d, NAME, reissues=1, generation=2)


@pytest.mark.parametrize("word", ["rejected", "canceled"])
def test_order_that_the_ca_ends(world, word):
    d = world.simple(NAME, ca=["--issue-delay", "1h"]).start()
    order = base.until(lambda: world.sandbox.orders(NAME), why="an order")[0]
    world.sandbox.set_order(order["order_id"], status=word)
    (shown,) = d.wait(NAME, state="failed", timeout=60)
    assert word in shown["error"]["code"] + shown["error"]["message"]
    time.sleep(3)
    assert_one_order(world.sandbox, NAME)


def test_order_that_needs_an_approval(world):
    d = world.simple(NAME, ca=["--issue-delay", "1h"]).start()
    order = base.until(lambda: world.sandbox.orders(NAME), why="an order")[0]
    world.sandbox.set_order(order["order_id"], status="needs_approval")
    d.wait_error(NAME, "approv", timeout=60)
    world.sandbox.set_order(order["order_id"], status="pending")
    world.sandbox.set_order(order["order_id"], action="issue")
    d.wait(NAME, timeout=120)
    world.assert_good(d, NAME)


def test_order_with_a_status_that_nobody_knows(world):
    d = world.simple(NAME, ca=["--issue-delay", "1h"]).start()
    order = base.until(lambda: world.sandbox.orders(NAME), why="an order")[0]
    world.sandbox.set_order(order["order_id"], status="quantum_review")
    base.until(lambda: len(world.sandbox.requests("info")) >= 2, timeout=60, why="it asks again")
    assert d.status(NAME)["state"] in ("pending", "retrying")
    world.sandbox.set_order(order["order_id"], status="pending")
    world.sandbox.set_order(order["order_id"], action="issue")
    d.wait(NAME, timeout=120)
    world.assert_good(d, NAME)


def test_proof_that_the_ca_sees_late(world):
    """Old and new shape of "not yet"."""
    d = world.simple(NAME, preflight={"http": "off"})
    root = world.web.webroot(NAME)
    hidden = root.with_name("hidden")
    root.rename(hidden)
    root.mkdir()
    d.config["domains"][0]["dcv"]["webroot"] = str(hidden)
    d.write_config()
    d.start()
    base.until(lambda: len(world.sandbox.requests("check")) >= 1, why="a first check")
    d.wait_error(NAME, ".")
    world.sandbox.settings(dcv_replies="old")
    base.until(lambda: len(world.sandbox.requests("check")) >= 2, timeout=30, why="a second check")
    root.rmdir()
    hidden.rename(root)
    hidden.symlink_to(root.name)
    d.wait(NAME, timeout=60)
    world.assert_good(d, NAME)


SCUTUM_FINAL = {
    "invalid-key": (400, "Invalid Key"),
    "unauthorized": (401, "Unauthorized"),
    "forbidden": (403, "Forbidden"),
    "not-found": (404, "Not Found"),
}


def without_polls(counts):
    """The first poll of a process comes whatever the domain does, and looks seven days back."""
    return {k: n for k, n in counts.items() if k not in ("changes", "n_requests")}


@pytest.mark.parametrize("case", SCUTUM_FINAL)
def test_scutum_refuses(world, case):
    """The certificate is there and stays; the target needs a person, and only the target is done again."""
    status, code = SCUTUM_FINAL[case]
    d = world.simple(NAME)
    world.sandbox.fault("scutum", "status", status=status, code=code, message=code, times=0)
    d.start()
    (shown,) = d.wait(NAME, state="failed")
    assert shown["certificate_id"] and shown["generation"] == 1
    (target,) = shown["deploy"]
    assert target["target"] == f"scutum:{NAME}" and target["state"] != "done"
    before = without_polls(world.sandbox.counts())
    time.sleep(4)
    assert without_polls(world.sandbox.counts()) == before
    world.sandbox.clear_faults()
    assert d.ctl("deploy", NAME).code == 0
    d.wait(NAME, timeout=60)
    world.assert_good(d, NAME)


def test_rate_limit_is_kept(world):
    """The CA counts rolling windows; ours are a little smaller, so it never has to say no."""
    names = [f"n{i:02}.example.jp" for i in range(12)]
    world.start_ca("--rate", "10/2s")
    world.start_web()
    d = world.make_daemon(
        *[world.domain(n) for n in names], certcentral={"rate_limit": [{"requests": 9, "per": "2s"}]}
    ).start()
    d.wait(*names, timeout=120)
    assert world.sandbox.counts()["429"] == 0
    for name in names:
        world.assert_good(d, name)


def test_rate_limit_is_kept_over_restarts(world):
    """The CA goes on counting while nobody runs: what the last process asked, and what it had under way, counts for the next one."""
    names = [f"n{i:02}.example.jp" for i in range(10)]
    world.start_ca("--rate", "14/3s", "--rate", "40/12s")
    world.start_web()
    ours = [{"requests": 12, "per": "3s"}, {"requests": 36, "per": "12s"}]
    d = world.make_daemon(*[world.domain(n) for n in names], certcentral={"rate_limit": ours})
    for i in range(6):
        before = world.sandbox.counts()["n_requests"]
        d.start()
        base.until(lambda: world.sandbox.counts()["n_requests"] >= before + 4, timeout=40, every=0.01, why="it has asked")
        d.stop() if i == 3 else d.kill9()
    d.start()
    # What the last one asked can be seen at once, and the key is nowhere.
    assert any(r["left"] < r["requests"] for r in d.ctl("budget").json["rate_limits"])
    assert world.sandbox.api_key.encode() not in (d.state_dir / "state" / "rates").read_bytes()
    d.wait(*names, timeout=120)
    assert world.sandbox.counts()["429"] == 0
    for name in names:
        world.assert_good(d, name)


def test_ca_is_away_for_a_while(world):
    d = world.simple(NAME)
    world.sandbox.stop()
    d.start()
    d.wait_error(NAME, ".")
    assert d.status(NAME)["state"] == "retrying"
    world.sandbox.start()
    d.wait(NAME, timeout=60)
    world.assert_good(d, NAME)


def test_paid_orders_per_day_are_capped(world):
    names = [f"n{i}.example.jp" for i in range(5)]
    world.start_ca()
    world.start_web()
    d = world.make_daemon(*[world.domain(n) for n in names], certcentral={"max_orders_per_day": 3}).start()
    base.until(lambda: [s["state"] for s in d.status()["domains"]].count("valid") == 3, timeout=60, why="three valid")
    stopped = [s for s in d.status()["domains"] if s["state"] != "valid"]
    time.sleep(3)
    assert len(world.sandbox.orders()) == 3
    assert len(stopped) == 2
    shown = [d.wait_error(s["name"], "max_orders_per_day") for s in stopped]
    assert all(s["next"]["at"] for s in shown)
    d.restart()
    time.sleep(3)
    assert len(world.sandbox.orders()) == 3, "a restart must not forget what was spent"


def test_push_that_ends_after_the_next_renewal(world):
    """What was pushed is the old certificate: the target is not done before it has the new one."""
    d = world.simple(NAME)
    world.sandbox.fault("scutum", "delay", delay_ms=4000)
    d.start()
    base.until(lambda: d.status(NAME)["state"] == "deploying", 30, why="the first push")
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: d.status(NAME)["generation"] == 2, 30, why="generation 2")
    d.wait(NAME)
    world.assert_good(d, NAME, reissues=1, generation=2)
    assert len(world.sandbox.pushes(NAME)) == 2
