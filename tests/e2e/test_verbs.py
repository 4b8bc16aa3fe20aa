# SPDX-License-Identifier: Apache-2.0
"""What a person can ask for: every verb of dvcertctl, used well and badly, with the real CA's counterpart."""

import json
import os
import re
import socket

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lib import base, pki
from lib.sandbox import assert_one_order

NAME = "www.example.jp"
OTHER = "shop.example.jp"
DAY = 86400


def valid(world, *names, ca=(), **more):
    d = world.simple(*(names or (NAME,)), ca=ca, **more).start()
    d.wait(*(names or (NAME,)))
    world.sandbox.forget_requests()
    return d


def requests_of(world):
    """What one issuance took: without polls, which are not its own, and without Scutum."""
    counts = world.sandbox.counts()
    return counts["n_requests"] - counts["changes"] - counts["scutum"]


def generation(d, name=NAME):
    return d.status(name)["generation"]


def wait_generation(d, n, name=NAME):
    base.until(lambda: generation(d, name) == n and d.status(name)["state"] == "valid", 60, why=f"generation {n}")


def only(answer):
    (domain,) = answer.json["domains"]
    return domain


def planned(d, name=NAME):
    return only(d.ctl("plan", name))


def calls_as_seen(world):
    """The requests as a plan writes them: without prefix and query, ids as words."""
    seen = []
    for r in world.sandbox.requests():
        if r["endpoint"] in ("changes", "scutum"):
            continue
        path = re.sub(r"^/services/v2", "", r["path"].split("?")[0])
        path = re.sub(r"^/order/certificate/\d+", "/order/certificate/{order_id}", path)
        path = re.sub(r"^/certificate/\d+", "/certificate/{certificate_id}", path)
        seen.append(f"{r['method']} {path}")
    return seen


def without_ids(calls):
    return [
        re.sub(r"^(\w+ /certificate/)\d+", r"\1{certificate_id}", re.sub(r"(/order/certificate/)\d+", r"\1{order_id}", c))
        for c in calls
    ]


def ask(d, **request):
    """One line to the socket, one line back; as a client other than dvcertctl would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(30 * base.PATIENCE)
        s.connect(str(d.socket))
        s.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(s.makefile().readline())


def leave(d, **request):
    """Asks, and is gone before the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(str(d.socket))
        s.sendall(json.dumps(request).encode() + b"\n")


# --- plan ---


def test_plan_counts_what_an_order_takes(world):
    """The plan of a domain that is only in the file yet; then the same is done, and the CA counts it."""
    d = valid(world)
    d.config["domains"].append(world.domain(OTHER))
    d.write_config()
    answer = d.ctl("plan")
    assert answer.code == 0, answer
    domains = {e["name"]: e for e in answer.json["domains"]}
    assert domains[NAME]["action"] == "none" and domains[NAME]["then"]["action"] == "reissue"
    new = domains[OTHER]
    assert (new["action"], new["paid"], new["requests"]) == ("order", True, 4)
    assert answer.json["totals"] == {"domains": 1, "orders": 1, "reissues": 0, "requests": 4}
    assert answer.json["changes"]["added"] == [OTHER]
    assert "status-changes" in answer.json["notes"][0]
    assert OTHER not in [e["name"] for e in d.status()["domains"]], "a plan takes nothing over"
    assert requests_of(world) == 0, "a plan asks nobody"

    assert d.ctl("reload").code == 0
    d.wait(OTHER)
    assert requests_of(world) == new["requests"]
    assert calls_as_seen(world) == without_ids(new["calls"])
    then = d.ctl("plan")
    assert then.code == 2 and then.json["totals"]["domains"] == 0, "nothing would be done now"


def test_plan_of_a_reissue(world):
    d = valid(world)
    world.web.webroot("more.example.jp")
    d.config["domains"][0]["dns_names"] = ["more.example.jp"]
    d.config["domains"][0]["dcv"] = {"method": "http-token", "webroot": str(world.web.webroot(NAME))}
    (world.web.www / "more.example.jp").rmdir()
    (world.web.www / "more.example.jp").symlink_to(NAME)
    d.write_config()
    e = planned(d)
    assert (e["action"], e["requests"]) == ("reissue", 4)
    assert e["paid"] and any("more.example.jp" in w and "cost" in w for w in e["warnings"]), e
    order_id = d.status(NAME)["order_id"]
    assert e["calls"][0] == f"POST /order/certificate/{order_id}/reissue"
    assert d.ctl("reload").code == 0
    wait_generation(d, 2)
    assert requests_of(world) == 4
    assert calls_as_seen(world) == without_ids(e["calls"])
    assert_one_order(world.sandbox, NAME)


def test_plan_of_instant_issuance(world):
    """The AuthKey is asked for, then an order is one request."""
    world.start_ca()
    world.start_web()
    d = world.make_daemon(certcentral={"instant_issuance": True}).start()
    assert d.ctl("auth-key", "create", "--yes").code == 0
    world.sandbox.forget_requests()
    d.config["domains"] = [world.domain(n, scutum=False) for n in (NAME, OTHER)]
    d.write_config()
    answer = d.ctl("plan")
    assert sorted(e["requests"] for e in answer.json["domains"]) == [1, 2]
    assert answer.json["totals"]["requests"] == 3
    assert answer.json["notes"] == [], "nothing is pending that could be polled for"
    assert d.ctl("reload").code == 0
    d.wait(NAME, OTHER)
    assert requests_of(world) == 3, calls_as_seen(world)
    assert_one_order(world.sandbox, NAME)


def test_plan_with_email(world):
    d = valid(world)
    d.config["domains"].append({"name": OTHER, "dcv": {"method": "email", "emails": ["admin@example.jp"]}})
    d.write_config()
    e = planned(d, OTHER)
    assert (e["requests"], e["at_least"]) == (3, True)
    assert not any("check-dcv" in c for c in e["calls"])


def test_plan_of_a_bad_config(world):
    d = valid(world)
    d.config["domains"][0]["renew_before"] = "soon"
    d.config["domains"][0]["colour"] = "blue"
    d.write_config()
    answer = d.ctl("plan")
    assert answer.code == 78
    assert len(answer.json["problems"]) >= 2 and any("colour" in p for p in answer.json["problems"])
    assert d.status(NAME)["state"] == "valid"


def test_plan_postpones_what_the_budget_does_not_allow(world):
    names = [f"n{i}.example.jp" for i in range(3)]
    d = valid(world, certcentral={"max_orders_per_day": 3})
    d.config["domains"] += [world.domain(n, scutum=False) for n in names]
    d.write_config()
    answer = d.ctl("plan")
    assert answer.json["totals"]["orders"] == 2
    assert answer.json["budget"]["left"] == 2
    (late,) = answer.json["budget"]["postponed"]
    (e,) = [e for e in answer.json["domains"] if e["postponed"]]
    assert e["name"] == late["name"] and e["at"] == late["until"] and "max_orders_per_day" in e["reason"]


def test_plan_tells_of_removed_and_changed(world):
    d = valid(world, NAME, OTHER)
    del d.config["domains"][1]
    d.config["domains"][0]["renew_before"] = "3d"
    d.config["domains"][0]["product"] = "ssl_dv_rapidssl"
    d.write_config()
    changes = d.ctl("plan").json["changes"]
    assert changes == {"added": [], "removed": [OTHER], "changed": [NAME], "restart_needed": None}
    assert any("ssl_dv_rapidssl" in w for w in planned(d)["warnings"])
    text = d.ctl("plan", as_json=False).out
    assert f"removed in the configuration on disk: {OTHER}" in text and "nothing now" in text


def test_plan_of_an_unknown_name(world):
    d = valid(world)
    answer = d.ctl("plan", "who.example.jp")
    assert answer.code == 1 and "no domain named who.example.jp" in answer.err


# --- renew, reissue ---


def test_renew_all_inside_the_plan(world):
    d = valid(world, NAME, OTHER)
    answer = d.ctl("renew", "--all")
    assert answer.code == 0 and sorted(answer.json["accepted"]) == sorted([NAME, OTHER])
    wait_generation(d, 2)
    wait_generation(d, 2, OTHER)
    assert_one_order(world.sandbox, NAME)
    assert_one_order(world.sandbox, OTHER)


def test_renew_of_an_order_that_is_over_wants_yes(world):
    d = valid(world)
    assert d.ctl("revoke", NAME, "--order", "--yes").code == 0
    d.wait(NAME, state="failed")
    before = world.sandbox.counts()["order"]
    refused = d.ctl("renew", "--all")
    assert refused.code == 64 and refused.json["paid"] == [NAME] and "--yes" in refused.err
    assert world.sandbox.counts()["order"] == before and d.status(NAME)["state"] == "failed"
    assert d.ctl("renew", "--all", "--yes").code == 0
    wait_generation(d, 2)
    assert_one_order(world.sandbox, NAME, 2)


@pytest.mark.parametrize("option", [[], ["--new-key"]])
def test_reissue(world, option):
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME, key={"type": "ec", "curve": "P-256", "reuse": True})).start()
    d.wait(NAME)
    before = (d.live(NAME) / "privkey.pem").read_text()
    answer = d.ctl("reissue", NAME, *option)
    assert answer.code == 0 and answer.json["accepted"] == [NAME]
    wait_generation(d, 2)
    assert ((d.live(NAME) / "privkey.pem").read_text() == before) == (not option)
    pki.assert_key_matches(d.live(NAME))
    assert_one_order(world.sandbox, NAME)


def test_reissue_is_refused_with_a_reason(world):
    world.start_ca("--issue-delay", "1h")
    world.start_web()
    d = world.make_daemon(world.domain(NAME)).start()
    base.until(lambda: world.sandbox.orders(NAME), 30, why="the order")
    answer = d.ctl("reissue", NAME)
    assert answer.code == 1 and "under way" in answer.json["refused"][0]["reason"]
    assert d.ctl("reissue", "who.example.jp").code == 1


# --- revoke ---


def test_revoke_the_certificate(world):
    """CertCentral ends an order with its last good certificate: the successor, with another key, is a new order."""
    d = valid(world)
    serial = d.status(NAME)["serial"]
    key = (d.live(NAME) / "privkey.pem").read_text()
    answer = d.ctl("revoke", NAME, "--reason", "KEYCOMPROMISE", "--yes")
    assert answer.code == 0 and answer.json["result"] == "revoked", answer
    wait_generation(d, 2)
    assert serial.lstrip("0") in [s.lower().lstrip("0") for s in world.sandbox.orders(NAME)[0]["revoked"]]
    assert (d.live(NAME) / "privkey.pem").read_text() != key
    assert_one_order(world.sandbox, NAME, 2)


def test_revoke_one_of_several(world):
    """Another good certificate keeps the order alive: the successor is free."""
    d = valid(world)
    old = d.status(NAME)["certificate_id"]
    assert d.ctl("reissue", NAME).code == 0
    wait_generation(d, 2)
    key = (d.live(NAME) / "privkey.pem").read_text()
    assert d.ctl("revoke", NAME, "--yes").code == 0
    wait_generation(d, 3)
    assert (d.live(NAME) / "privkey.pem").read_text() != key
    answer = d.ctl("revoke", NAME, "--certificate-id", old, "--reason", "superseded", "--yes")
    assert answer.code == 0 and answer.json["certificate_id"] == old, answer
    assert generation(d) == 3 and d.status(NAME)["state"] == "valid"
    order = assert_one_order(world.sandbox, NAME)
    assert len(order["revoked"]) == 2 and order["status"] == "issued"


def test_revoke_asks_first(world):
    d = valid(world)
    for more in ([], ["--order"], ["--certificate-id", "7"]):
        answer = d.ctl("revoke", NAME, *more)
        assert answer.code == 64 and "--yes" in answer.err, answer
    assert requests_of(world) == 0


def test_revoke_used_badly(world):
    d = valid(world)
    wrong = d.ctl("revoke", NAME, "--reason", "boredom", "--yes")
    assert wrong.code == 64 and "keyCompromise" in wrong.err
    unknown = d.ctl("revoke", NAME, "--certificate-id", "7", "--yes")
    assert unknown.code == 1 and unknown.json["result"] == "failed", unknown
    assert d.ctl("revoke", "who.example.jp", "--yes").code == 1
    refused = ask(d, verb="revoke", names=[NAME], certificate_id=5, order=True)
    assert not refused["ok"] and refused["code"] == 64
    assert ask(d, verb="revoke", names=[NAME], yes="yes")["code"] == 64
    assert ask(d, verb="revoke", names=[NAME, NAME])["code"] == 64
    assert generation(d) == 1


def test_revoke_the_order(world):
    """Nothing is bought again by itself."""
    d = valid(world)
    answer = d.ctl("revoke", NAME, "--order", "--yes")
    assert answer.code == 0 and answer.json["certificate_id"] is None
    assert world.sandbox.orders(NAME)[0]["status"] == "revoked"
    d.wait(NAME, state="failed")
    again = d.ctl("reissue", NAME)
    assert again.code == 1 and "over" in again.json["refused"][0]["reason"]
    assert_one_order(world.sandbox, NAME)


def test_revocation_waits_for_an_approval_over_a_restart(world):
    """Somebody else has to approve it: it is watched, also by the next process, until it is done."""
    d = valid(world, ca=["--set", "revoke_approval=always", "--set", "approver=other"])
    order_id = d.status(NAME)["order_id"]
    answer = d.ctl("revoke", NAME, "--yes")
    assert answer.code == 75 and answer.json["result"] == "approval", answer
    assert "approval" in str(d.ctl("show", NAME).json["domain"]["warnings"])
    d.kill9()
    d.start()
    assert "approval" in str(d.ctl("show", NAME).json["domain"]["warnings"])
    world.sandbox.set_order(order_id, action="approve")
    wait_generation(d, 2)
    history = [e["event"] for e in d.ctl("history", NAME).json["history"]]
    assert "revocation-started" in history and "revocation-done" in history


def test_revocation_whose_answer_is_lost(world):
    """Sent again, refused because there is nothing left to revoke, and seen to be done."""
    d = valid(world)
    world.sandbox.fault("revoke", "drop-after")
    answer = d.ctl("revoke", NAME, "--yes")
    assert answer.code == 0 and answer.json["result"] == "revoked", answer
    wait_generation(d, 2)
    assert len(world.sandbox.orders(NAME)[0]["revoked"]) == 1


def test_revocation_goes_on_without_its_peer_and_after_a_restart(world):
    d = valid(world)
    world.sandbox.fault("revoke", "status", status=503, times=0)
    leave(d, verb="revoke", names=[NAME], yes=True)
    base.until(lambda: world.sandbox.counts()["revoke"] >= 1, 20, why="the revocation is sent")
    again = d.ctl("revoke", NAME, "--order", "--yes")
    assert again.code == 75 and "under way" in again.err
    d.kill9()
    world.sandbox.clear_faults()
    d.start()
    wait_generation(d, 2)
    assert len(world.sandbox.orders(NAME)[0]["revoked"]) == 1


def test_revoke_twice_is_nothing(world):
    d = valid(world)
    world.sandbox.fault("reissue", "status", times=0)
    assert d.ctl("revoke", NAME, "--yes").code == 0
    answer = d.ctl("revoke", NAME, "--yes")
    assert answer.code == 2 and answer.json["result"] == "nothing", answer


# --- cancel, check-dcv, resend-emails ---


def pending(world, method="http-token", ca=()):
    """An order that waits: the CA looks where our proof is not."""
    world.start_ca(*ca)
    world.start_web()
    dcv = {"method": "email", "emails": ["admin@example.jp"]}
    if method == "http-token":
        elsewhere = world.dir / "elsewhere"
        elsewhere.mkdir()
        dcv = {"method": method, "webroot": str(elsewhere)}
    d = world.make_daemon(world.domain(NAME, scutum=False, dcv=dcv)).start()
    base.until(lambda: d.ctl("show", NAME).json["domain"].get("pending_order_id"), 30, why="the order is placed")
    return d


def test_cancel_a_placed_order(world):
    d = pending(world)
    refused = d.ctl("cancel", NAME)
    assert refused.code == 64 and "--yes" in refused.err
    assert world.sandbox.orders(NAME)[0]["status"] == "pending"
    answer = d.ctl("cancel", NAME, "--yes")
    assert answer.code == 0 and answer.json["result"] == "canceled"
    d.wait(NAME, state="failed")
    assert world.sandbox.orders(NAME)[0]["status"] == "canceled"
    assert d.status(NAME)["error"]["code"] == "order_canceled"
    assert_one_order(world.sandbox, NAME)
    nothing = d.ctl("cancel", NAME, "--yes")
    assert nothing.code == 2 and nothing.json["result"] == "nothing"


def test_cancel_before_anything_is_ordered(world):
    """A budget of one: the second domain waits with nothing out there."""
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME), certcentral={"max_orders_per_day": 1}).start()
    d.wait(NAME)
    world.sandbox.fault("order", "status", status=429, retry_after=60, times=0)
    d.config["domains"].append(world.domain(OTHER))
    d.config["certcentral"]["max_orders_per_day"] = 5
    d.write_config()
    assert d.ctl("reload").code == 0
    d.wait(OTHER, state="retrying")
    answer = d.ctl("cancel", OTHER, "--yes")
    assert answer.code == 0 and answer.json["order_id"] is None
    (status,) = d.wait(OTHER, state="failed")
    assert status["error"]["code"] == "canceled"
    assert world.sandbox.orders(OTHER) == []


def test_cancel_when_nobody_knows_whether_it_was_taken(world):
    world.start_ca("--set", "find_lag_s=3600")
    world.start_web()
    world.sandbox.fault("order", "drop-after")
    d = world.make_daemon(world.domain(NAME)).start()
    base.until(lambda: d.status(NAME)["phase"] == "resolve", 30, why="the answer is lost")
    answer = d.ctl("cancel", NAME, "--yes")
    assert answer.code == 75 and "not known yet" in answer.err
    assert_one_order(world.sandbox, NAME)


def test_cancel_a_reissue_keeps_the_certificate(world):
    d = valid(world)
    world.web.stop()
    assert d.ctl("reissue", NAME).code == 0
    base.until(lambda: world.sandbox.orders(NAME)[0]["status"] == "reissue_pending", 30, why="the reissue is placed")
    base.until(lambda: d.ctl("show", NAME).json["domain"].get("pending_order_id"), 30, why="it is known here")
    assert d.ctl("cancel", NAME, "--yes").code == 0
    (status,) = d.wait(NAME, state="failed")
    assert status["error"]["code"] == "reissue_canceled" and status["generation"] == 1
    assert world.sandbox.orders(NAME)[0]["status"] == "issued"


@pytest.mark.parametrize("kind", ["new", "old"])
def test_check_dcv(world, kind):
    d = pending(world, ca=["--generation", kind])
    answer = d.ctl("check-dcv", NAME)
    assert answer.code == 75 and answer.json["validated"] is False, answer
    assert answer.json["order_status"] == "pending"
    assert "random value" in answer.json["message"], answer
    world.web.webroot(NAME).rmdir()
    (world.web.www / NAME).symlink_to(world.dir / "elsewhere")
    good = []

    def proven():
        good[:] = [d.ctl("check-dcv", NAME)]
        return good[0].code in (0, 2)

    base.until(proven, 30, why="the CA sees the proof")
    d.wait(NAME)
    nothing = d.ctl("check-dcv", NAME)
    assert nothing.code == 2 and nothing.json["result"] == "nothing"
    assert "nothing to do" in d.ctl("check-dcv", NAME, as_json=False).out


def test_emails(world):
    d = pending(world, "email")
    refused = d.ctl("check-dcv", NAME)
    assert refused.code == 1 and "resend-emails" in refused.err
    answer = d.ctl("resend-emails", NAME)
    assert answer.code == 0 and answer.json["result"] == "sent"
    assert world.sandbox.counts()["resend"] == 1
    world.sandbox.set_order(world.sandbox.orders(NAME)[0]["order_id"], action="issue")
    d.wait(NAME)
    assert d.ctl("resend-emails", NAME).code == 2


def test_resend_emails_without_mail(world):
    d = pending(world)
    refused = d.ctl("resend-emails", NAME)
    assert refused.code == 1 and "http-token" in refused.err


def test_temporary_trouble_is_75(world):
    d = pending(world, "email")
    world.sandbox.fault("resend", "status", status=503)
    assert d.ctl("resend-emails", NAME).code == 75
    assert d.ctl("resend-emails", NAME).code == 0


# --- auth-key, budget ---


@pytest.mark.parametrize("kind", ["new", "old"])
def test_auth_keys(world, kind):
    d = valid(world, ca=["--generation", kind])
    none = d.ctl("auth-key", "show")
    assert none.code == 2 and none.json["auth_keys"] == []
    assert d.ctl("auth-key", "create").code == 64
    made = d.ctl("auth-key", "create", "--yes")
    assert made.code == 0 and made.json["result"] == "created", made
    (key,) = made.json["auth_keys"]
    assert key["id"] and key["expires_at"] is None
    shown = d.ctl("auth-key", "show")
    assert [k["id"] for k in shown.json["auth_keys"]] == [key["id"]]
    assert set(shown.json["auth_keys"][0]) == {"id", "kind", "expires_at", "status", "used"}
    again = d.ctl("auth-key", "create", "--yes")
    assert again.code == 1 and "already" in again.err
    dated = d.ctl("auth-key", "create", "--days", "30", "--yes")
    assert dated.code == (0 if kind == "new" else 1), dated
    if kind == "new":
        assert dated.json["auth_keys"][0]["expires_at"]
        assert len(d.ctl("auth-key", "show").json["auth_keys"]) == 2


def test_auth_keys_are_not_for_every_api_key(world):
    d = valid(world, ca=["--set", "key_scope=orders"])
    answer = d.ctl("auth-key", "show")
    assert answer.code == 1 and "account" in answer.err
    assert d.ctl("budget").json["key_blocked"] is False, "orders go on"


def test_budget(world):
    d = valid(world, certcentral={"max_orders_per_day": 5})
    b = d.ctl("budget")
    assert b.code == 0
    assert (b.json["max_orders_per_day"], b.json["spent"], b.json["left"]) == (5, 1, 4)
    assert [o["name"] for o in b.json["orders"]] == [NAME] and b.json["key_blocked"] is False
    assert [(r["requests"], r["per"]) for r in b.json["rate_limits"]] == [(90, 5), (900, 180)]
    assert b.json["rate_limits"][1]["left"] <= 896
    assert "1 of 5, 4 left" in d.ctl("budget", as_json=False).out


# --- duplicate ---


def make_csr(path, *names, key=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
    san = x509.SubjectAlternativeName([x509.DNSName(n) for n in names])
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
        .add_extension(san, critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(csr.public_bytes(serialization.Encoding.PEM))
    return key


def duplicates(world, name=NAME):
    return [c for c in world.sandbox.orders(name)[0]["certificates"] if c["kind"] == "duplicate"]


def assert_duplicate(world, out, key=None):
    cert = pki.load_cert(out / "cert.pem")
    if key is None:
        pki.assert_key_matches(out)
        assert pki.mode_of(out / "privkey.pem") == 0o600
    else:
        assert pki.public_bytes(cert.public_key()) == pki.public_bytes(key.public_key())
        assert not (out / "privkey.pem").exists()
    assert (out / "fullchain.pem").read_text() == (out / "cert.pem").read_text() + (out / "chain.pem").read_text()
    pki.openssl_verify(out, world.sandbox.ca_file, NAME)
    return cert


@pytest.mark.parametrize("kind", ["new", "old"])
def test_duplicate_with_a_new_key(world, kind):
    d = valid(world, ca=["--generation", kind])
    out = world.dir / "dup"
    answer = d.ctl("duplicate", NAME, "--new-key", "--out", out)
    assert answer.code == 0 and answer.json["result"] == "issued", answer
    cert = assert_duplicate(world, out)
    assert pki.mode_of(out) == 0o700
    assert cert.serial_number != pki.load_cert(d.live(NAME) / "cert.pem").serial_number
    assert (out / "privkey.pem").read_text() != (d.live(NAME) / "privkey.pem").read_text()
    assert "BEGIN RSA PRIVATE KEY" in (out / "privkey.pem").read_text(), "as the domain's"
    assert generation(d) == 1, "the domain itself does not change"
    # Once more: the same one.
    again = d.ctl("duplicate", NAME, "--new-key", "--out", out)
    assert again.code == 0 and again.json["certificate_id"] == answer.json["certificate_id"]
    assert len(duplicates(world)) == 1
    assert "PRIVATE KEY" not in d.log()


def test_duplicate_with_a_request(world):
    d = valid(world)
    out = world.dir / "dup"
    key = make_csr(world.dir / "r.csr", NAME)
    answer = d.ctl("duplicate", NAME, "--csr", world.dir / "r.csr", "--out", out, as_json=False)
    assert answer.code == 0 and "cert.pem" in answer.out, answer
    assert_duplicate(world, out, key)
    make_csr(world.dir / "other.csr", NAME)
    wrong = d.ctl("duplicate", NAME, "--csr", world.dir / "other.csr", "--out", out)
    assert wrong.code == 64 and "another request" in wrong.err
    assert len(duplicates(world)) == 1


def test_duplicate_whose_answer_is_lost(world):
    """The list is asked before anything is posted again."""
    d = valid(world)
    world.sandbox.fault("duplicate", "drop-after")
    answer = d.ctl("duplicate", NAME, "--new-key", "--out", world.dir / "dup")
    assert answer.code == 0, answer
    assert_duplicate(world, world.dir / "dup")
    assert len(duplicates(world)) == 1 and world.sandbox.counts()["duplicate"] == 1


def test_duplicate_that_is_interrupted(world):
    """The peer leaves, or the daemon dies: the same command picks it up."""
    d = valid(world)
    out = world.dir / "dup"
    world.sandbox.fault("duplicates", "status", status=503, times=0)
    first = d.ctl("duplicate", NAME, "--new-key", "--out", out, "--timeout", "0s")
    assert first.code == 75 and (out / "privkey.pem").exists() and not (out / "cert.pem").exists(), first
    world.sandbox.clear_faults()
    key = (out / "privkey.pem").read_text()
    leave(d, verb="duplicate", names=[NAME], csr=(out / "request.csr").read_text())
    d.kill9()
    d.start()
    assert d.ctl("duplicate", NAME, "--new-key", "--out", out).code == 0
    assert (out / "privkey.pem").read_text() == key
    assert_duplicate(world, out)
    assert len(duplicates(world)) == 1


def test_duplicate_waits_for_an_approval(world):
    d = valid(world)
    world.sandbox.settings(approval="required", key_role="user")
    order_id = d.status(NAME)["order_id"]
    out = world.dir / "dup"
    answer = d.ctl("duplicate", NAME, "--new-key", "--out", out, "--timeout", "0s")
    assert answer.code == 75 and answer.json["result"] in ("approval", "pending"), answer
    world.sandbox.set_order(order_id, action="approve")
    assert d.ctl("duplicate", NAME, "--new-key", "--out", out).code == 0
    assert_duplicate(world, out)
    assert len(duplicates(world)) == 1


def test_duplicate_gets_a_wrong_certificate(world):
    """What does not fit the request is not handed over."""
    d = valid(world)
    out = world.dir / "dup"
    first = d.ctl("duplicate", NAME, "--new-key", "--out", out)
    assert first.code == 0
    before = (out / "cert.pem").read_text()
    for variant in ("other-names", "expired", "zip"):
        world.sandbox.fault("download", "wrong-cert", variant=variant)
        bad = d.ctl("duplicate", NAME, "--new-key", "--out", out)
        assert bad.code == 1, (variant, bad)
        assert (out / "cert.pem").read_text() == before


def test_duplicate_used_badly(world):
    d = valid(world)
    out = world.dir / "dup"

    def refused(code, said, *args):
        answer = d.ctl("duplicate", *args)
        assert answer.code == code and said in answer.err, answer

    missing = d.ctl("duplicate", NAME, "--csr", world.dir / "none.csr", "--out", out)
    assert missing.code == 1 and "none.csr" in missing.err
    refused(64, "private key", NAME, "--csr", d.live(NAME).resolve() / "privkey.pem", "--out", out)
    refused(64, "not a certificate request", NAME, "--csr", d.live(NAME).resolve() / "cert.pem", "--out", out)
    text = world.dir / "text"
    text.write_text("hello\n")
    refused(64, "no certificate request", NAME, "--csr", text, "--out", out)
    text.write_bytes(b"\0" * 100)
    refused(64, "PEM", NAME, "--csr", text, "--out", out)
    text.write_bytes(b"a" * 100000)
    assert d.ctl("duplicate", NAME, "--csr", text, "--out", out).code in (1, 64)
    assert d.ctl("duplicate", NAME, "--csr", world.dir, "--out", out).code in (1, 64)
    assert not out.exists(), "nothing is made before the request is known to be good"
    refused(1, "no domain named", "who.example.jp", "--new-key", "--out", out)
    out.mkdir()
    (out / "privkey.pem").write_text("mine\n")
    refused(64, "in the way", NAME, "--new-key", "--out", out)
    assert (out / "privkey.pem").read_text() == "mine\n"
    open_to_all = world.dir / "open"
    open_to_all.mkdir()
    os.chmod(open_to_all, 0o777)
    refused(64, "others may write", NAME, "--new-key", "--out", open_to_all)
    assert requests_of(world) == 0


def test_duplicate_of_nothing(world):
    d = pending(world)
    answer = d.ctl("duplicate", NAME, "--new-key", "--out", world.dir / "dup")
    assert answer.code == 1 and "nothing is installed" in answer.err


# --- for all of them ---


def test_unknown_names_and_words(world):
    d = valid(world)
    for verb in ("plan", "renew", "reissue", "cancel", "check-dcv", "resend-emails", "rollback", "doctor"):
        answer = d.ctl(verb, "who.example.jp")
        assert answer.code == 1 and "who.example.jp" in answer.err, (verb, answer)
    for request in (
        {"verb": "renew", "names": []},
        {"verb": "renew", "names": [NAME], "all": True},
        {"verb": "renew", "names": [NAME], "yes": 1},
        {"verb": "duplicate", "names": [NAME]},
        {"verb": "duplicate", "names": [NAME], "csr": "x", "timeout": -1},
        {"verb": "duplicate", "names": [NAME], "csr": "x"},
        {"verb": "auth-key", "action": "delete"},
        {"verb": "auth-key", "action": "create", "days": -1, "yes": True},
        {"verb": "revoke", "names": [NAME], "certificate_id": "7", "yes": True},
    ):
        answer = ask(d, **request)
        assert not answer["ok"] and answer["code"] == 64, (request, answer)
    assert generation(d) == 1 and requests_of(world) == 0


def test_without_a_daemon(world):
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME))
    for args in (["plan"], ["budget"], ["revoke", NAME, "--yes"], ["duplicate", NAME, "--new-key", "--out", world.dir / "x"]):
        assert d.ctl(*args).code == 69, args
    assert not (world.dir / "x").exists()


def test_peers_that_leave(world):
    """Whatever is asked for, whoever has gone: the daemon goes on, and nothing of it is left behind."""
    d = valid(world)
    world.sandbox.fault("*", "delay", delay_ms=300, times=0)
    csr = world.dir / "r.csr"
    make_csr(csr, NAME)
    for request in (
        {"verb": "plan"},
        {"verb": "history", "names": [NAME]},
        {"verb": "wait", "names": [NAME], "timeout": 5},
        {"verb": "auth-key", "action": "show"},
        {"verb": "auth-key", "action": "create", "yes": True},
        {"verb": "duplicate", "names": [NAME], "csr": csr.read_text()},
        {"verb": "reload"},
        {"verb": "revoke", "names": [NAME], "yes": True},
        {"verb": "cancel", "names": [NAME], "yes": True},
    ):
        leave(d, **request)
        assert d.ctl("status").code == 0, request
    world.sandbox.clear_faults()
    base.until(lambda: d.ctl("auth-key", "show").code == 0, 20, why="the AuthKey is there")
    base.until(lambda: d.ctl("plan").code in (0, 2), 20, why="a plan")
    base.until(lambda: d.status(NAME)["state"] in ("valid", "failed"), 60, why="an end")


def test_stopping_while_verbs_wait(world):
    """SIGTERM does not wait for them."""
    d = valid(world)
    world.sandbox.fault("*", "delay", delay_ms=60000, times=0)
    sockets = []
    for request in (
        {"verb": "auth-key", "action": "show"},
        {"verb": "auth-key", "action": "create", "yes": True},
        {"verb": "revoke", "names": [NAME], "yes": True},
        {"verb": "wait", "names": [NAME], "timeout": 1},
    ):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(str(d.socket))
        s.sendall(json.dumps(request).encode() + b"\n")
        sockets.append(s)
    assert d.ctl("status").code == 0
    d.stop()
    for s in sockets:
        s.close()
