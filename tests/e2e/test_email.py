# SPDX-License-Identifier: Apache-2.0
"""Names that a person confirms by a link in a mail: the daemon says who has to click, and waits."""

import re

import pytest
from lib import base
from lib.sandbox import assert_one_order

NAME = "mail.example.jp"
ADMIN = "admin@example.jp"
MASTER = "hostmaster@mail.example.jp"


def email(*addresses):
    return {"method": "email", "emails": list(addresses)}


def prepare(world, *addresses, **more):
    world.start_ca()
    world.start_web()
    return world.make_daemon(world.domain(NAME, dcv=email(*(addresses or [ADMIN])), **more)).start()


def placed(world, n=1):
    base.until(lambda: len(world.sandbox.orders(NAME)) == n, why=f"order {n}")
    return assert_one_order(world.sandbox, NAME, n)


def click(world, order):
    """Whoever got the mail follows the link: the names are proven, and the CA issues."""
    world.sandbox.set_order(order["order_id"], action="issue")


def polls(world, n):
    """So many more polls of status-changes: that is a while, in the daemon's own time."""
    before = world.sandbox.counts()["changes"]
    base.until(lambda: world.sandbox.counts()["changes"] >= before + n, 30, why=f"{n} polls")


def asked_about(order):
    return {(e["dns_name"], e["email_domain"], e["email"]) for e in order["dcv_emails"]}


def test_waits_for_the_click_and_no_longer(world):
    d = prepare(world)
    order = placed(world)
    shown = d.wait_error(NAME, "waits_for_email")
    assert asked_about(order) == {(NAME, "example.jp", ADMIN)} and order["dcv_method"] == "email"
    assert shown["state"] == "pending" and shown["error"]["code"] == "waits_for_email", shown
    assert ADMIN in shown["error"]["message"], "who has to click?"
    table = d.ctl("status", as_json=False).out
    assert re.search(rf"{NAME} +pending .*{ADMIN}.* {NAME}", table), table
    assert re.search(rf"order {order['order_id']}: .*{ADMIN}", d.log()), "the log tells it too"

    polls(world, 4)
    counts = world.sandbox.counts()
    assert counts["order"] == 1 and counts["info"] <= 2, counts
    assert not any(counts[e] for e in ("check", "token", "method", "resend", "find", "download")), counts
    assert d.status(NAME)["error"]["code"] == "waits_for_email"
    assert len(re.findall("has sent mail", d.log())) == 1, "told once, not at each look"
    assert not (world.web.webroot(NAME) / ".well-known").exists()

    click(world, order)
    d.wait(NAME)
    world.assert_good(d, NAME)


def test_slow_pace_finds_a_click_that_no_poll_told(world):
    d = prepare(world)
    order = placed(world)
    d.wait_error(NAME, "waits_for_email")
    world.sandbox.fault("changes", "status", status=503, times=0)
    click(world, order)
    d.wait(NAME, timeout=60)
    world.assert_good(d, NAME)
    assert world.sandbox.counts()["info"] <= 3


def test_addresses_of_several_names(world):
    more = ["www.mail.example.jp", "shop.example.jp"]
    d = prepare(world, ADMIN, MASTER, dns_names=more)
    order = placed(world)
    assert asked_about(order) == {
        (NAME, "example.jp", ADMIN),
        (NAME, NAME, MASTER),
        ("www.mail.example.jp", "example.jp", ADMIN),
        ("www.mail.example.jp", NAME, MASTER),
        ("shop.example.jp", "example.jp", ADMIN),
    }
    shown = d.wait_error(NAME, "waits_for_email")
    assert ADMIN in shown["error"]["message"] and MASTER in shown["error"]["message"]
    click(world, order)
    d.wait(NAME)
    world.assert_good(d, NAME, names=[NAME, *more])


def test_wildcard(world):
    d = prepare(world, MASTER, product="ssl_dv_geotrust_flex", dns_names=[f"*.{NAME}"])
    order = placed(world)
    assert asked_about(order) == {(NAME, NAME, MASTER)}, "one mail proves the name and its wildcard"
    d.wait_error(NAME, "waits_for_email")
    click(world, order)
    d.wait(NAME)
    world.assert_good(d, NAME, names=[NAME, f"*.{NAME}"])


def test_restart_while_somebody_has_to_click(world):
    d = prepare(world)
    order = placed(world)
    d.wait_error(NAME, "waits_for_email")
    d.kill9()
    d.start()
    shown = d.wait_error(NAME, "waits_for_email")
    assert shown["state"] == "pending" and shown["next"]["at"]
    click(world, order)
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert not world.sandbox.counts()["resend"]


def test_click_while_the_daemon_is_away(world):
    d = prepare(world)
    order = placed(world)
    d.wait_error(NAME, "waits_for_email")
    d.stop()
    click(world, order)
    d.start()
    d.wait(NAME)
    world.assert_good(d, NAME)


@pytest.mark.parametrize("word", ["rejected", "canceled"])
def test_order_that_ends_before_the_click(world, word):
    d = prepare(world)
    order = placed(world)
    d.wait_error(NAME, "waits_for_email")
    world.sandbox.set_order(order["order_id"], status=word)
    (shown,) = d.wait(NAME, state="failed")
    assert shown["error"]["code"] == f"order_{word}" and str(order["order_id"]) in shown["error"]["message"]
    assert d.ctl("renew", NAME).code == 0
    second = placed(world, 2)
    d.wait_error(NAME, "waits_for_email")
    click(world, second)
    d.wait(NAME)
    world.assert_good(d, NAME, orders=2)


def test_renewal_waits_for_a_click_too(world):
    d = prepare(world)
    click(world, placed(world))
    d.wait(NAME)
    live = (d.live(NAME) / "fullchain.pem").read_bytes()
    assert d.ctl("renew", NAME).code == 0
    shown = d.wait_error(NAME, "waits_for_email")
    assert shown["state"] == "pending" and shown["generation"] == 1 and ADMIN in shown["error"]["message"]
    polls(world, 2)
    assert (d.live(NAME) / "fullchain.pem").read_bytes() == live, "the old certificate serves meanwhile"
    click(world, placed(world))
    base.until(lambda: d.status(NAME)["generation"] == 2, why="generation 2")
    d.wait(NAME)
    world.assert_good(d, NAME, reissues=1, generation=2)


# --- another method ---


def http_token(world):
    return {"method": "http-token", "webroot": str(world.web.webroot(NAME))}


def change_to(d, dcv):
    d.config["domains"][0]["dcv"] = dcv
    d.write_config()
    answer = d.ctl("reload")
    assert answer.code == 0, answer


def test_pending_order_from_email_to_http_token(world):
    d = prepare(world)
    placed(world)
    d.wait_error(NAME, "waits_for_email")
    change_to(d, http_token(world))
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert placed(world)["dcv_method"] == "http-token"
    counts = world.sandbox.counts()
    assert counts["method"] == 1 and counts["check"] == 1, counts


def test_pending_order_from_http_token_to_email_and_back(world):
    world.start_ca()
    world.start_web()
    nowhere = world.dir / "nowhere"
    nowhere.mkdir()
    d = world.make_daemon(world.domain(NAME, dcv={"method": "http-token", "webroot": str(nowhere)})).start()
    d.wait_error(NAME, "404")
    change_to(d, email(ADMIN))
    shown = d.wait_error(NAME, "waits_for_email")
    assert shown["state"] == "pending"
    assert placed(world)["dcv_method"] == "email"
    base.until(lambda: not list(nowhere.rglob("fileauth.txt")), why="the proof of before is taken away")
    checks = world.sandbox.counts()["check"]
    polls(world, 2)
    assert world.sandbox.counts()["check"] == checks, "nothing to check with email"
    change_to(d, http_token(world))
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert placed(world)["dcv_method"] == "http-token" and world.sandbox.counts()["method"] == 2


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "garbage", "status"])
def test_change_of_method_whose_answer_is_lost(world, kind):
    d = prepare(world)
    placed(world)
    d.wait_error(NAME, "waits_for_email")
    world.sandbox.fault("method", kind)
    change_to(d, http_token(world))
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert world.sandbox.faults_hit("method") and placed(world)["dcv_method"] == "http-token"


def test_method_changed_between_two_certificates(world):
    """A reissue names no method: it has that of its order until the CA is told another one."""
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME)).start()
    d.wait(NAME)
    change_to(d, email(ADMIN))
    assert d.ctl("renew", NAME).code == 0
    d.wait_error(NAME, "waits_for_email")
    order = placed(world)
    assert order["dcv_method"] == "email", "whoever waits for a click has asked for a mail"
    click(world, order)
    base.until(lambda: d.status(NAME)["generation"] == 2, why="generation 2")
    change_to(d, http_token(world))
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: d.status(NAME)["generation"] == 3, why="generation 3")
    d.wait(NAME)
    world.assert_good(d, NAME, reissues=2, generation=3)
    assert placed(world)["dcv_method"] == "http-token"
