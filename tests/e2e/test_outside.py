# SPDX-License-Identifier: Apache-2.0
"""Others at work: somebody revokes, reissues, cancels in the console, or the CA revokes. It is noticed, said, and answered once.

With a tempo of a second, status-changes is asked every second while an order is pending, else once a minute; OCSP within the first
minute after a start, at a second that depends on the name."""

import json
import re
import time
import urllib.request

import pytest
from lib import base
from lib.sandbox import assert_one_order

BUSY = "busy.example.jp"


def first_look(name):
    """Seconds from a start to the first question to OCSP: str_hash() of the program."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h % 60 + 1


def named(low, high):
    """A name whose first look is between these seconds."""
    return next(n for n in (f"n{i}.example.jp" for i in range(2000)) if low <= first_look(n) <= high)


EARLY = named(1, 2)
LATE = named(55, 60)


def account(world, method, path, body=None):
    """Somebody else with access to the account."""
    rq = urllib.request.Request(
        f"{world.sandbox.certcentral_url}/{path}", method=method, data=json.dumps(body or {}).encode(),
        headers={"Content-Type": "application/json", "X-DC-DEVKEY": world.sandbox.api_key},
    )  # fmt: skip
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=world.sandbox.tls)
    )
    with opener.open(rq, timeout=20 * base.PATIENCE) as answer:
        assert answer.status < 300


def prepare(world, name, busy=False, responder=True, **more):
    """One installed certificate. busy: another order waits for somebody, so status-changes is asked all the time."""
    world.start_ca(*(["--pki-http", "127.0.0.1:0"] if responder else []))
    world.start_web()
    domains = [world.domain(name, **more)]
    if busy:
        domains.append({"name": BUSY, "dcv": {"method": "email", "emails": [f"admin@{BUSY}"]}})
    d = world.make_daemon(*domains).start()
    d.wait(name)
    return d


def order_of(world, name):
    return world.sandbox.orders(name)[-1]


def revoke_order(world, name):
    world.sandbox.set_order(order_of(world, name)["order_id"], action="revoke")


def generation(d, name, n, timeout=30):
    base.until(lambda: d.status(name)["generation"] == n, timeout, why=f"generation {n}")
    d.wait(name)


def key_of(d, name):
    return (d.live(name) / "privkey.pem").read_text()


def warnings(d, name):
    return " | ".join(d.ctl("show", name).json["domain"]["warnings"])


def polls(world, n):
    before = world.sandbox.counts()["changes"]
    base.until(lambda: world.sandbox.counts()["changes"] >= before + n, 90, why=f"{n} polls")


# --- the whole order is revoked ---


def test_revoked_order_is_replaced_once(world):
    d = prepare(world, LATE, busy=True)
    first = order_of(world, LATE)
    old_key = key_of(d, LATE)
    world.sandbox.settings(issue_delay_s=3600)
    revoke_order(world, LATE)

    # Until the next one is there: said wherever somebody may look.
    base.until(lambda: len(world.sandbox.orders(LATE)) == 2, 15, why="a new order")
    said = warnings(d, LATE)
    assert "certificate is revoked" in said and f"order {first['order_id']} is over" in said, said
    shown = d.status(LATE)
    assert shown["error"]["code"] == "revoked" and shown["generation"] == 1 and shown["state"] == "pending", shown
    assert re.search(rf"{LATE} +pending .*is revoked", d.ctl("status", as_json=False).out)
    log = d.log()
    assert re.search(rf"error {LATE}: certificate {first['certificate_id']} is revoked at the CA", log), "loud"
    assert re.search(rf"warning {LATE}: order {first['order_id']} is revoked: the next certificate needs a new order", log)
    events = [e["event"] for e in d.ctl("history", LATE).json["history"]]
    assert "certificate-revoked" in events and "order-over" in events, events
    world.sandbox.set_order(order_of(world, LATE)["order_id"], action="issue")
    generation(d, LATE, 2)
    world.sandbox.settings(issue_delay_s=0)
    world.assert_good(d, LATE, orders=2, generation=2)
    assert key_of(d, LATE) != old_key and warnings(d, LATE) == ""

    # The one that replaced it is revoked as well: a third purchase would mend nothing.
    revoke_order(world, LATE)
    (shown,) = d.wait(LATE, state="failed")
    assert shown["error"]["code"] == "revoked_again" and "renew" in shown["error"]["message"], shown
    assert shown["next"]["action"] == "none" and "revoked" in warnings(d, LATE)
    polls(world, 4)
    d.restart()
    polls(world, 2)
    assert_one_order(world.sandbox, LATE, 2)
    assert d.status(LATE)["error"]["code"] == "revoked_again"
    assert d.ctl("wait", LATE, "--timeout", "5s").code == 1

    # A person says so, and knows that it costs money.
    refused = d.ctl("renew", LATE)
    assert refused.code == 64 and LATE in refused.out + refused.err, refused
    assert d.ctl("renew", LATE, "--yes").code == 0
    generation(d, LATE, 3)
    world.assert_good(d, LATE, orders=3, generation=3)


def test_revoked_order_that_ocsp_tells_first(world):
    """Nothing is pending, so status-changes is asked calmly, and OCSP is faster. A reissue would be refused."""
    d = prepare(world, EARLY)
    d.stop()
    revoke_order(world, EARLY)
    d.start()
    generation(d, EARLY, 2, timeout=45)
    world.assert_good(d, EARLY, orders=2, generation=2)
    assert world.sandbox.counts()["ocsp"] >= 1


def test_revoked_while_the_daemon_was_away(world):
    """The first poll after a start looks back as far as the API tells: seven days."""
    d = prepare(world, LATE, busy=True)
    d.stop()
    revoke_order(world, LATE)
    world.sandbox.forget_requests()
    d.start()
    generation(d, LATE, 2)
    world.assert_good(d, LATE, orders=2, generation=2)
    assert "minutes=10079&" in world.sandbox.requests("changes")[0]["path"] + "&"
    assert not world.sandbox.counts()["ocsp"], "status-changes told it"


def test_revoked_order_on_a_calm_account(world):
    """Nothing pending: status-changes is asked once in sixty tempos, and still tells it."""
    d = prepare(world, LATE, responder=False)
    d.stop()
    revoke_order(world, LATE)
    world.sandbox.forget_requests()
    d.start()
    generation(d, LATE, 2, timeout=90)
    world.assert_good(d, LATE, orders=2, generation=2)
    assert len(world.sandbox.requests("changes")) <= 4, "calmly, not every second"


def test_reissue_under_way_while_the_order_is_revoked(world):
    d = prepare(world, LATE, busy=True)
    world.sandbox.settings(issue_delay_s=3600)
    assert d.ctl("renew", LATE).code == 0
    base.until(lambda: order_of(world, LATE)["status"] == "reissue_pending", why="a pending reissue")
    world.sandbox.set_order(order_of(world, LATE)["order_id"], status="revoked")
    world.sandbox.settings(issue_delay_s=0)
    generation(d, LATE, 2)
    world.assert_good(d, LATE, orders=2, generation=2)
    # Once more, in the same way, within a week: now a person has to look.
    world.sandbox.settings(issue_delay_s=3600)
    assert d.ctl("renew", LATE).code == 0
    base.until(lambda: order_of(world, LATE)["status"] == "reissue_pending", why="a pending reissue")
    world.sandbox.set_order(order_of(world, LATE)["order_id"], status="revoked")
    world.sandbox.settings(issue_delay_s=0)
    (shown,) = d.wait(LATE, state="failed")
    assert shown["error"]["code"] == "revoked_again", shown
    polls(world, 2)
    assert_one_order(world.sandbox, LATE, 2)


# --- only the certificate is revoked, its order is good ---


def with_a_second_certificate(world, d, name):
    """As long as a good certificate is left in it, the order stays `issued`."""
    assert d.ctl("renew", name).code == 0
    generation(d, name, 2)


def revoke_certificate(world, name, reason=None):
    what = order_of(world, name)["certificate_id"]
    body = {"comments": "by hand", "skip_approval": True}
    account(world, "PUT", f"certificate/{what}/revoke", {**body, **({"revocation_reason": reason} if reason else {})})
    assert order_of(world, name)["status"] == "issued"
    return what


@pytest.mark.parametrize(
    "reason, keeps, way",
    [(None, False, "both"), ("keyCompromise", False, "ocsp"), ("superseded", True, "crl"), (None, False, "crl")],
)
def test_revoked_certificate_is_reissued(world, reason, keeps, way):
    """The key goes too, unless the reason says that it is good, whatever key.reuse wants."""
    d = prepare(world, EARLY, key={"type": "ec", "curve": "P-256", "reuse": True})
    with_a_second_certificate(world, d, EARLY)
    old = key_of(d, EARLY)
    d.stop()
    world.sandbox.settings(revocation=way)
    revoked = revoke_certificate(world, EARLY, reason)
    world.sandbox.forget_requests()
    d.start()
    generation(d, EARLY, 3, timeout=45)
    world.assert_good(d, EARLY, reissues=2, generation=3)
    assert (key_of(d, EARLY) == old) == keeps
    said = f"certificate {revoked} is revoked at the CA" + (f": {reason}" if reason else "")
    assert re.search(rf"error {EARLY}: {said} \(", d.log()), said
    counts = world.sandbox.counts()
    assert counts["order"] == 0 and counts["reissue"] == 1
    assert (counts["crl"] > 0) == (way == "crl"), "the CRL is for those who get no answer from OCSP"
    # Looked at daily from here on, not again and again.
    assert counts["ocsp"] <= 2 and counts["crl"] <= 2, counts


def test_certificate_revoked_again_within_a_week(world):
    d = prepare(world, EARLY)
    with_a_second_certificate(world, d, EARLY)
    d.stop()
    revoke_certificate(world, EARLY, "superseded")
    d.start()
    generation(d, EARLY, 3, timeout=45)
    d.stop()
    revoke_certificate(world, EARLY, "superseded")
    d.start()
    (shown,) = d.wait(EARLY, state="failed")
    assert shown["error"]["code"] == "revoked_again"
    d.restart()
    assert d.status(EARLY)["error"]["code"] == "revoked_again"
    assert assert_one_order(world.sandbox, EARLY)["reissues"] == 2
    assert d.ctl("renew", EARLY).code == 0, "inside the plan it costs nothing"
    generation(d, EARLY, 4)
    world.assert_good(d, EARLY, reissues=3, generation=4)


@pytest.mark.parametrize("way", ["silent", "garbage"])
def test_responder_without_an_answer_says_nothing(world, way):
    """No answer is no revocation: it is said in the debug log, and asked again later."""
    d = prepare(world, EARLY)
    with_a_second_certificate(world, d, EARLY)
    d.stop()
    world.sandbox.settings(revocation=way)
    revoke_certificate(world, EARLY, "superseded")
    world.sandbox.forget_requests()
    d.start()
    base.until(lambda: re.search(rf"debug: {EARLY}: revocation: .", d.log()), 75, every=0.5, why="a look that failed")
    counts = world.sandbox.counts()
    assert counts["ocsp"] >= 1 and counts["crl"] >= 1, counts
    shown = d.status(EARLY)
    assert shown["state"] == "valid" and shown["error"] is None and warnings(d, EARLY) == "", shown
    assert counts["reissue"] == 0 and counts["order"] == 0
    # It was not given up: with an answer the conclusion is drawn.
    world.sandbox.settings(revocation="both")
    d.restart()
    generation(d, EARLY, 3, timeout=45)
    world.assert_good(d, EARLY, reissues=2, generation=3)


def test_good_certificate_is_asked_about_once(world):
    d = prepare(world, EARLY)
    base.until(lambda: world.sandbox.counts()["ocsp"], 15, why="a first look")
    time.sleep(3)  # three tempos: a loop would show
    counts = world.sandbox.counts()
    assert counts["ocsp"] == 1 and counts["crl"] == 0, counts
    world.assert_good(d, EARLY)


# --- reissued by somebody else ---


def test_reissued_in_the_console(world):
    d = prepare(world, LATE, busy=True)
    order = order_of(world, LATE)
    live = (d.live(LATE) / "fullchain.pem").read_bytes()
    world.sandbox.set_order(order["order_id"], action="reissue-by-console")
    theirs = order_of(world, LATE)["certificate_id"]
    base.until(lambda: warnings(d, LATE), why="a warning")
    assert re.search(rf"order {order['order_id']} was reissued by somebody else: certificate {theirs}", warnings(d, LATE))
    assert re.search(rf"warning {LATE}: order {order['order_id']} was reissued by somebody else", d.log())
    polls(world, 3)
    counts = world.sandbox.counts()
    assert counts["reissue"] == 0 and counts["order"] == 2, counts
    shown = d.status(LATE)
    assert shown["state"] == "valid" and shown["error"] is None and shown["generation"] == 1, shown
    assert (d.live(LATE) / "fullchain.pem").read_bytes() == live
    assert len(re.findall("was reissued by somebody else", d.log())) == 1, "told once"
    infos = len([r for r in world.sandbox.requests("info") if str(order["order_id"]) in r["path"]])
    polls(world, 3)
    assert len([r for r in world.sandbox.requests("info") if str(order["order_id"]) in r["path"]]) == infos

    assert d.ctl("renew", LATE).code == 0
    generation(d, LATE, 2)
    world.assert_good(d, LATE, reissues=2, generation=2)
    assert warnings(d, LATE) == ""


def test_reissued_in_the_console_while_the_daemon_was_away(world):
    d = prepare(world, LATE, busy=True)
    d.stop()
    world.sandbox.set_order(order_of(world, LATE)["order_id"], action="reissue-by-console")
    d.start()
    base.until(lambda: "was reissued by somebody else" in warnings(d, LATE), why="a warning")
    assert d.status(LATE)["state"] == "valid" and world.sandbox.counts()["reissue"] == 0


# --- what is pending is ended by somebody else ---


def test_pending_order_canceled_by_somebody(world):
    world.start_ca("--issue-delay", "1h")
    world.start_web()
    d = world.make_daemon(world.domain(LATE)).start()
    order = base.until(lambda: world.sandbox.orders(LATE), why="an order")[0]
    base.until(lambda: world.sandbox.orders(LATE)[0]["validated"], why="proven names")
    account(world, "PUT", f"order/certificate/{order['order_id']}/status", {"status": "CANCELED"})
    (shown,) = d.wait(LATE, state="failed")
    assert shown["error"]["code"] == "order_canceled" and str(order["order_id"]) in shown["error"]["message"]
    d.restart()
    assert d.status(LATE)["state"] == "failed"
    assert_one_order(world.sandbox, LATE)
    world.sandbox.settings(issue_delay_s=0)
    assert d.ctl("renew", LATE).code == 0, "the first certificate of a domain is wanted anyway"
    d.wait(LATE)
    world.assert_good(d, LATE, orders=2)


def test_pending_reissue_canceled_by_somebody(world):
    d = prepare(world, LATE, busy=True)
    live = (d.live(LATE) / "fullchain.pem").read_bytes()
    world.sandbox.settings(issue_delay_s=3600)
    assert d.ctl("renew", LATE).code == 0
    order = order_of(world, LATE)
    base.until(lambda: world.sandbox.counts()["check"] == 2, why="the reissue is proven")
    assert order_of(world, LATE)["status"] == "reissue_pending"
    account(world, "PUT", f"order/certificate/{order['order_id']}/status", {"status": "CANCELED"})
    (shown,) = d.wait(LATE, state="failed", timeout=90)
    assert shown["error"]["code"] == "reissue_gone" and "console" in shown["error"]["message"], shown
    assert shown["generation"] == 1 and (d.live(LATE) / "fullchain.pem").read_bytes() == live
    polls(world, 2)
    counts = world.sandbox.counts()
    assert counts["reissue"] == 1 and counts["order"] == 2, "nothing by itself"
    world.sandbox.settings(issue_delay_s=0)
    assert d.ctl("renew", LATE).code == 0
    generation(d, LATE, 2)
    world.assert_good(d, LATE, reissues=1, generation=2)


def test_plan_that_is_over_in_the_middle(world):
    """The order is found canceled when it is to be reissued, and nobody had told: the refusal is shown, and a person can go on."""
    d = prepare(world, LATE)
    world.sandbox.settings(revocation="silent")
    world.sandbox.set_order(order_of(world, LATE)["order_id"], status="canceled")
    answer = d.ctl("renew", LATE)
    assert answer.code == 0, answer
    (shown,) = d.wait(LATE, state="failed")
    assert shown["error"]["code"] == "invalid_order_status" and shown["generation"] == 1, shown
    base.until(lambda: "is over at the CA" in warnings(d, LATE), 15, why="the end of the order is shown")
    assert_one_order(world.sandbox, LATE)
    assert d.ctl("renew", LATE, "--yes").code == 0
    generation(d, LATE, 2)
    world.assert_good(d, LATE, orders=2, generation=2)
