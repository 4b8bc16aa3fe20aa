# SPDX-License-Identifier: Apache-2.0
"""The service has had two generations of many answers: a whole life with each, and words that nobody knows."""

import datetime
import re

import pytest
from lib import base, pki
from lib.sandbox import assert_one_order
from test_instant import account, assert_instant

NAME = "www.example.jp"
YEAR = datetime.timedelta(days=365)

both = pytest.mark.parametrize("age", ["old", "new"])


def prepare(world, age, **more):
    return world.simple(NAME, ca=["--generation", age], **more)


def generation(d, n):
    base.until(lambda: d.status(NAME)["generation"] == n, 60, why=f"generation {n}")
    return d.wait(NAME)[0]


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def order_of(world):
    return world.sandbox.orders(NAME)[-1]


@both
def test_whole_life(world, age):
    """Order, a proof that is not seen yet, then is; reissue; revocation on command; replaced again; all in one order."""
    d = prepare(world, age, preflight={"http": "off"})
    root = world.web.webroot(NAME)
    hidden = root.with_name("hidden")
    root.rename(hidden)
    root.mkdir()
    d.config["domains"][0]["dcv"]["webroot"] = str(hidden)
    d.write_config()
    d.start()
    base.until(lambda: len(world.sandbox.requests("check")) >= 2, 30, why="two checks")
    shown = d.wait_error(NAME, "not_validated")
    assert "does not see the proof yet" in shown["error"]["message"] and "file" in shown["error"]["message"]
    assert shown["state"] == "retrying" and shown["next"]["at"], shown
    root.rmdir()
    hidden.rename(root)
    hidden.symlink_to(root.name)
    d.wait(NAME, timeout=60)
    first = world.assert_good(d, NAME)

    assert d.ctl("renew", NAME).code == 0
    generation(d, 2)
    second = world.assert_good(d, NAME, reissues=1, generation=2)
    assert first.serial_number != second.serial_number

    answer = d.ctl("revoke", NAME, "--reason", "superseded", "--yes")
    assert answer.code == 0, answer
    generation(d, 3)
    third = world.assert_good(d, NAME, reissues=2, generation=3)
    assert pki.serial_hex(second).lstrip("0") in [s.lower().lstrip("0") for s in order_of(world)["revoked"]]
    assert third.serial_number != second.serial_number
    assert world.sandbox.counts()["order"] == 1 and world.sandbox.counts()["other"] == 0


@both
def test_end_of_the_plan(world, age):
    """Told by order info, or else estimated from what was ordered; reissues stay inside it and do not move it."""
    d = prepare(world, age).start()
    (shown,) = d.wait(NAME)
    till = moment(shown["order_valid_until"])
    told = moment(order_of(world)["valid_till"])
    assert abs(till - told) <= datetime.timedelta(days=1), (till, told)
    assert abs(YEAR - (till - moment(shown["not_before"]))) <= datetime.timedelta(days=1)
    assert shown["next"]["action"] == "reissue", shown["next"]
    assert d.ctl("renew", NAME).code == 0, "inside the plan: no money, no question"
    again = generation(d, 2)
    assert abs(moment(again["order_valid_until"]) - till) <= datetime.timedelta(days=1)
    cert = world.assert_good(d, NAME, reissues=1, generation=2)
    assert cert.not_valid_after.replace(tzinfo=datetime.timezone.utc) <= told + datetime.timedelta(days=1)
    d.restart()
    assert d.status(NAME)["order_valid_until"] == again["order_valid_until"]


@both
def test_lookup_by_reference(world, age):
    """Nothing found is 404 or an empty list; neither is "not ordered" at once."""
    d = prepare(world, age)
    world.sandbox.fault("order", "drop-after")
    world.sandbox.settings(find_lag_s=3)
    d.start()
    d.wait(NAME, timeout=90)
    world.assert_good(d, NAME)
    counts = world.sandbox.counts()
    assert counts["order"] == 1 and counts["find"] >= 2, counts


@both
def test_instant_issuance(world, age):
    world.start_ca("--generation", age)
    world.start_web()
    account(world, "POST", "auth-key")
    world.sandbox.forget_requests()
    d = world.make_daemon(world.domain(NAME), certcentral={"instant_issuance": True}).start()
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert_instant(world)
    assert d.status(NAME)["next"]["action"] == "reissue"


@both
def test_ordinary_order_on_an_account_with_an_auth_key(world, age):
    """What an order means that says nothing of use_auth_key has changed once, so ours says it."""
    world.start_ca("--generation", age)
    world.start_web()
    account(world, "POST", "auth-key")
    d = world.make_daemon(world.domain(NAME)).start()
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert world.sandbox.counts()["check"] == 1


@both
@pytest.mark.parametrize("endpoint", ["order", "reissue"])
def test_error_object(world, age, endpoint):
    d = prepare(world, age)
    refusal = {"status": 400, "code": "csr_invalid_key", "message": "The key is known from somewhere."}
    if endpoint == "reissue":
        d.start()
        d.wait(NAME)
    world.sandbox.fault(endpoint, "status", times=0, **refusal)
    if endpoint == "order":
        d.start()
    else:
        assert d.ctl("renew", NAME).code == 0
    (shown,) = d.wait(NAME, state="failed")
    assert shown["error"]["code"] == refusal["code"] and refusal["message"] in shown["error"]["message"]
    assert refusal["message"] in d.ctl("status", as_json=False).out
    world.sandbox.clear_faults()
    assert d.ctl("renew", NAME).code == 0
    n = 1 if endpoint == "order" else 2
    generation(d, n)
    world.assert_good(d, NAME, reissues=n - 1, generation=n)


# --- words that nobody knows ---


def assert_asks_again(world, d, word):
    base.until(lambda: re.search(rf'unknown status "{word}"', d.log()), 40, why="the word is in the log")
    shown = d.status(NAME)
    assert shown["state"] in ("pending", "retrying") and shown["phase"] == "wait", shown


@both
def test_unknown_word_of_an_order(world, age):
    d = prepare(world, age)
    world.sandbox.settings(issue_delay_s=3600)
    d.start()
    base.until(lambda: world.sandbox.counts()["check"], why="a check")
    world.sandbox.set_order(order_of(world)["order_id"], status="quantum_review")
    assert_asks_again(world, d, "quantum_review")
    assert_one_order(world.sandbox, NAME)
    world.sandbox.set_order(order_of(world)["order_id"], status="pending")
    world.sandbox.set_order(order_of(world)["order_id"], action="issue")
    d.wait(NAME)
    world.assert_good(d, NAME)


@both
def test_unknown_word_during_a_reissue(world, age):
    d = prepare(world, age).start()
    d.wait(NAME)
    live = (d.live(NAME) / "fullchain.pem").read_bytes()
    world.sandbox.settings(issue_delay_s=3600)
    checks = world.sandbox.counts()["check"]
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: world.sandbox.counts()["check"] > checks, 30, why="the check of the reissue")
    world.sandbox.set_order(order_of(world)["order_id"], status="quantum_reissue")
    assert_asks_again(world, d, "quantum_reissue")
    assert (d.live(NAME) / "fullchain.pem").read_bytes() == live
    world.sandbox.set_order(order_of(world)["order_id"], status="reissue_pending")
    world.sandbox.set_order(order_of(world)["order_id"], action="issue")
    generation(d, 2)
    world.assert_good(d, NAME, reissues=1, generation=2)


@both
def test_unknown_word_of_an_order_whose_certificate_is_installed(world, age):
    """No conclusion is drawn from what is not understood."""
    busy = "busy.example.jp"
    d = prepare(world, age)
    d.config["domains"].append({"name": busy, "dcv": {"method": "email", "emails": [f"admin@{busy}"]}})
    d.write_config()
    d.start()
    d.wait(NAME)
    world.sandbox.set_order(order_of(world)["order_id"], status="quantum_retired")
    before = world.sandbox.counts()["changes"]
    base.until(lambda: world.sandbox.counts()["changes"] >= before + 3, 30, why="three polls")
    shown = d.status(NAME)
    assert shown["state"] == "valid" and shown["error"] is None, shown
    assert d.ctl("show", NAME).json["domain"]["warnings"] == []
    assert world.sandbox.counts()["reissue"] == 0
    assert_one_order(world.sandbox, NAME)
