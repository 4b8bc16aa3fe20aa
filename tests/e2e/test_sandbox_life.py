# SPDX-License-Identifier: Apache-2.0
"""dvcert-sandbox, the life after the first certificate (docs/SANDBOX.md): reissue, duplicate, revocation, requests that
somebody has to approve, cancellation, plans; lists, AuthKeys, instant issuance, proofs in DNS. Tools and fixtures are those of test_sandbox.py."""

import contextlib
import datetime
import hashlib
import hmac
import socket
import struct
import threading
import time
import urllib.parse

import pytest
from cryptography.hazmat.primitives import hashes
from test_sandbox import (  # noqa: F401 - fixtures
    DAY, box, csr_of, key_of, order_body, sans, shared, signed_by, split_pem, start, utc, web,
)  # fmt: skip

BASE = "/services/v2/order/certificate"


def issued(box, names, csr=None, **more):
    p = box.placed(names, csr, **more)
    assert box.issue(p["id"])["status"] == "issued"
    return p


def change_body(names, csr=None, top=None, cert=None):
    """What a reissue and a duplicate take; a value of None removes the member."""
    certificate = {
        "common_name": names[0], "dns_names": names[1:], "csr": csr or csr_of("ec2"), "signature_hash": "sha256",
        "server_platform": {"id": 2}, **(cert or {}),
    }  # fmt: skip
    body = {"certificate": {k: v for k, v in certificate.items() if v is not None}, "skip_approval": True}
    body.update(top or {})
    return {k: v for k, v in body.items() if v is not None}


def reissue(box, order_id, names, csr=None, **more):
    return box.call("POST", f"{BASE}/{order_id}/reissue", change_body(names, csr, **more))


def duplicate(box, order_id, names, csr=None, **more):
    return box.call("POST", f"{BASE}/{order_id}/duplicate", change_body(names, csr, **more))


def rows(box, order_id, what):
    return box.call("GET", f"{BASE}/{order_id}/{what}").json["certificates"]


def put(box, path, body):
    return box.call("PUT", f"/services/v2/{path}", body)


def cancel(box, order_id, status="CANCELED"):
    return put(box, f"order/certificate/{order_id}/status", {"status": status, "note": "x"})


def approve(box, request_id, status="approved"):
    return put(box, f"request/{request_id}/status", {"status": status, "processor_comment": "x"})


def act(box, order_id, action):
    return box.admin("POST", f"orders/{order_id}", {"action": action})


def leaf(box, certificate_id):
    return split_pem(box.download(certificate_id).body)[0]


def same_key(cert, kind):
    return cert.public_key().public_numbers() == key_of(kind).public_key().public_numbers()


def statuses(box, order_id):
    return [(c["kind"], c["status"]) for c in box.ledger(order_id)["certificates"]]


# --- reissue -----------------------------------------------------------------------------------------


def test_reissue(box, web):
    p = issued(box, ["r.example"])
    old = p["certificate_id"]
    a = reissue(box, p["id"], ["r.example", "www.r.example"])
    assert a.status == 201 and set(a.json) == {"id", "certificate_id", "dcv_random_value"}
    assert a.json["id"] == p["id"] and a.json["certificate_id"] != old
    value = a.json["dcv_random_value"]
    assert value != p["dcv_random_value"] and box.token(p["id"]).json["dcv_random_value"] == value
    new = a.json["certificate_id"]

    info = box.info(p["id"]).json
    assert info["status"] == "reissue_pending" and info["certificate"]["id"] == old
    assert {"order_id": p["id"], "certificate_id": old, "status": "reissue_pending"} in box.changes().json["orders"]
    assert box.download(new).status == 404 and same_key(leaf(box, old), "ec")
    assert box.check(p["id"]).code == "file_random_value_not_found"
    for name in ("r.example", "www.r.example"):
        web.put(name, value)
    checked = box.check(p["id"]).json
    assert checked["order_status"] == "issued" and checked["certificate_id"] == new
    assert [v["dns_name"] for v in checked["dns_name_validations"]] == ["r.example", "www.r.example"]

    info = box.info(p["id"]).json
    assert info["status"] == "issued" and info["certificate"]["id"] == new and info["reissues_count"] == 1
    assert [r["type"] for r in info["requests"]] == ["new_request", "reissue"]
    assert {"order_id": p["id"], "certificate_id": new, "status": "issued"} in box.changes().json["orders"]
    assert same_key(leaf(box, new), "ec2") and sans(leaf(box, new)) == ["r.example", "www.r.example"]
    assert same_key(leaf(box, old), "ec"), "the old one can still be had"
    assert box.ledger(p["id"])["reissues"] == 1 and box.ledger(p["id"])["revoked"] == []
    assert box.admin("GET", "counts")["reissue"] == 1
    assert reissue(box, p["id"], ["r.example"]).status == 201, "again"


def test_reissue_old_answer_and_ca_poll(start, web):
    box = start("--dcv-replies", "old", "--ca-poll", "1s", "--rate", "off")
    p = issued(box, ["rp.example"])
    a = reissue(box, p["id"], ["rp.example"])
    assert set(a.json) == {"id", "certificate_id"}
    web.put("rp.example", box.token(p["id"]).json["dcv_random_value"])
    box.wait(p["id"], "issued")
    assert box.ledger(p["id"])["certificate_id"] == a.json["certificate_id"]


REISSUE_MISTAKES = [
    ({"cert": {"csr": None}}, "missing_field|certificate.csr"),
    ({"cert": {"common_name": None}}, "missing_field|certificate.common_name"),
    ({"cert": {"signature_hash": None}}, "missing_field|certificate.signature_hash"),
    ({"cert": {"skip_approval": True}}, "unknown_field|certificate.skip_approval"),
    ({"cert": {"csr": "x"}}, "csr_invalid_cannot_parse"),
    ({"cert": {"dns_names": ["*.m.example"]}}, "invalid_field|dcv_method"),
    ({"cert": {"cert_validity": {"days": 400}}}, "cert_validity_exceeds_order_validity"),
    ({"top": {"certificate": None}}, "missing_field|certificate"),
    ({"top": {"dcv_method": "http-token"}}, "unknown_field|dcv_method"),
    ({"top": {"order_validity": {"years": 1}}}, "unknown_field|order_validity"),
    ({"top": {"use_auth_key": True}}, "unknown_field|use_auth_key"),
    ({"top": {"skip_approval": "yes"}}, "invalid_field|skip_approval"),
]


@pytest.mark.parametrize("more, code", REISSUE_MISTAKES, ids=[c for _, c in REISSUE_MISTAKES])
def test_reissue_mistakes(box, more, code):
    p = issued(box, ["m.example"])
    a = reissue(box, p["id"], ["m.example"], **more)
    assert (a.status, a.code) == (400, code)
    assert box.info(p["id"]).json["status"] == "issued" and len(statuses(box, p["id"])) == 1


def test_reissue_needs_an_issued_order(box):
    p = box.placed(["n.example"])
    assert reissue(box, p["id"], ["n.example"]).code == "invalid_order_status"
    box.issue(p["id"])
    assert reissue(box, p["id"], ["n.example"]).status == 201
    assert reissue(box, p["id"], ["n.example"]).code == "invalid_order_status", "one at a time"
    assert duplicate(box, p["id"], ["n.example"]).code == "invalid_order_status"
    assert reissue(box, 1, ["n.example"]).code == "not_found|order"


def test_reissue_without_new_proofs(box, web):
    box.admin("POST", "settings", {"reissue_dcv": "reuse"})
    p = issued(box, ["u.example"])
    a = reissue(box, p["id"], ["u.example"]).json
    assert set(a) == {"id", "certificate_id", "certificate_chain"}
    assert box.info(p["id"]).json["certificate"]["id"] == a["certificate_id"]
    b = reissue(box, p["id"], ["u.example", "new.u.example"]).json
    assert box.info(p["id"]).json["status"] == "reissue_pending"
    assert box.ledger(p["id"])["validated"] == ["u.example"]
    web.put("new.u.example", b["dcv_random_value"])
    assert box.check(p["id"]).json["order_status"] == "issued"


def test_reissue_and_the_issue_delay(box, web):
    p = issued(box, ["d.example"])
    box.admin("POST", "settings", {"issue_delay_s": 60})
    value = reissue(box, p["id"], ["d.example"]).json["dcv_random_value"]
    web.put("d.example", value)
    assert box.check(p["id"]).json["order_status"] == "reissue_pending"
    box.advance(61)
    assert box.check(p["id"]).json["order_status"] == "issued"


def test_losing_a_name_dooms_the_old_ones(box):
    p = issued(box, ["l.example", "www.l.example"])
    serial = box.ledger(p["id"])["serial"]
    reissue(box, p["id"], ["l.example"])
    box.issue(p["id"])
    box.advance(47 * 3600)
    assert box.ledger(p["id"])["revoked"] == []
    box.advance(2 * 3600)
    assert box.ledger(p["id"])["revoked"] == [serial]
    assert box.info(p["id"]).json["certificate"]["status"] == "issued"


def test_lists_of_reissues_and_duplicates(box):
    p = issued(box, ["ls.example"])
    first = box.ledger(p["id"])["serial"]
    assert rows(box, p["id"], "reissue") == [] and rows(box, p["id"], "duplicate") == []
    r = reissue(box, p["id"], ["ls.example"]).json
    assert [(c["id"], c["status"]) for c in rows(box, p["id"], "reissue")] == [(r["certificate_id"], "pending")]
    box.issue(p["id"])
    d = duplicate(box, p["id"], ["ls.example"]).json
    (row,) = rows(box, p["id"], "reissue")
    assert row["status"] == "approved" and row["serial_number"] != first
    (row,) = rows(box, p["id"], "duplicate")
    assert row["id"] == d["certificate_id"] and row["dns_names"] == ["ls.example"] and row["valid_till"]
    box.admin("POST", "settings", {"lists": "primary"})
    for what, last in (("reissue", r), ("duplicate", d)):
        ids = [c["id"] for c in rows(box, p["id"], what)]
        assert ids == [r["certificate_id"], last["certificate_id"]], "the primary comes first, also twice"
    assert box.call("GET", f"{BASE}/1/reissue").code == "not_found|order"
    assert box.call("GET", f"{BASE}/{p['id']}/duplicate?limit=1").code == "unknown_field"


# --- duplicate ---------------------------------------------------------------------------------------


def test_duplicate(box):
    p = issued(box, ["du.example", "www.du.example"])
    box.advance(5 * DAY)
    a = duplicate(box, p["id"], ["www.du.example", "du.example"])
    assert a.status == 201 and set(a.json) == {"id", "certificate_id", "certificate_chain"}
    chain = [split_pem(c["pem"])[0] for c in a.json["certificate_chain"]]
    assert a.json["certificate_chain"][0]["subject_common_name"] == "www.du.example"
    assert "\r\n" in a.json["certificate_chain"][0]["pem"]
    assert len(chain) == 3 and signed_by(chain[0], chain[1]) and signed_by(chain[2], chain[2])
    assert same_key(chain[0], "ec2") and leaf(box, a.json["certificate_id"]) == chain[0]
    first = leaf(box, p["certificate_id"])
    assert chain[0].not_valid_after == first.not_valid_after and chain[0].serial_number != first.serial_number
    info = box.info(p["id"]).json
    assert info["certificate"]["id"] == p["certificate_id"] and info["duplicates_count"] == 1
    assert box.ledger(p["id"])["duplicates"] == 1


def test_duplicate_names(box):
    p = issued(box, ["n.example", "www.n.example"])
    for names in (["n.example"], ["n.example", "www.n.example", "more.n.example"], ["x.example", "n.example"]):
        a = duplicate(box, p["id"], names)
        assert (a.status, a.code) == (400, "invalid_dns_name_on_duplicate"), names
    a = duplicate(box, p["id"], ["n.example", "www.n.example"], cert={"cert_validity": {"days": 5}})
    assert a.code == "unknown_field|certificate.cert_validity"
    w = issued(box, ["*.w.example"], product="wildcard_dv_geotrust", top={"dcv_method": "dns-txt-token"})
    assert duplicate(box, w["id"], ["*.w.example", "a.w.example"]).status == 201
    assert duplicate(box, w["id"], ["*.w.example", "a.b.w.example"]).code == "invalid_dns_name_on_duplicate"


# --- requests that wait ------------------------------------------------------------------------------


def test_approval_of_everything(box, web):
    box.admin("POST", "settings", {"approval": "required"})
    p = box.placed(["a.example"], top={"skip_approval": False})
    assert approve(box, p["requests"][0]["id"]).status == 204
    info = box.info(p["id"]).json
    assert info["status"] == "pending" and info["requests"][0]["status"] == "approved"
    box.issue(p["id"])

    r = reissue(box, p["id"], ["a.example"], top={"skip_approval": None}).json
    assert set(r) == {"id", "requests"} and set(r["requests"][0]) == {"id"}
    info = box.info(p["id"]).json
    assert info["status"] == "reissue_pending" and info["has_pending_request"] is True
    assert info["requests"][1]["status"] == "pending"
    assert box.token(p["id"]).code == "invalid_order_status" and rows(box, p["id"], "reissue") == []
    assert act(box, p["id"], "approve")["status"] == "reissue_pending"
    web.put("a.example", box.token(p["id"]).json["dcv_random_value"])
    assert box.check(p["id"]).json["order_status"] == "issued"

    d = duplicate(box, p["id"], ["a.example"], top={"skip_approval": False}).json
    assert set(d) == {"id", "requests"} and rows(box, p["id"], "duplicate") == []
    assert approve(box, d["requests"][0]["id"]).status == 204
    assert len(rows(box, p["id"], "duplicate")) == 1
    assert "certificate_chain" in duplicate(box, p["id"], ["a.example"]).json, "skipped"


def test_rejection_of_everything(box):
    box.admin("POST", "settings", {"approval": "required"})
    p = box.placed(["j.example"], top={"skip_approval": False})
    assert act(box, p["id"], "reject")["status"] == "rejected"
    p = issued(box, ["j.example"])
    before = box.info(p["id"]).json["certificate"]["id"]
    r = reissue(box, p["id"], ["j.example"], top={"skip_approval": False}).json
    assert approve(box, r["requests"][0]["id"], "rejected").status == 204
    info = box.info(p["id"]).json
    assert info["status"] == "issued" and info["certificate"]["id"] == before
    assert info["requests"][1]["status"] == "rejected" and info["has_pending_request"] is False
    d = duplicate(box, p["id"], ["j.example"], top={"skip_approval": False}).json
    assert approve(box, d["requests"][0]["id"], "rejected").status == 204
    assert statuses(box, p["id"]) == [("primary", "issued"), ("reissue", "dropped"), ("duplicate", "dropped")]


def test_who_may_approve(box):
    box.admin("POST", "settings", {"approval": "required", "approver": "other"})
    rid = box.placed(["w.example"], top={"skip_approval": False})["requests"][0]["id"]
    a = approve(box, rid)
    assert (a.status, a.code) == (403, "access_denied|invalid_approver")
    box.admin("POST", "settings", {"approver": "anyone", "key_role": "user"})
    assert approve(box, rid).code == "access_denied|missing_permission"
    box.admin("POST", "settings", {"key_role": "admin"})
    assert approve(box, rid, "Approved").code == "invalid_field|status"
    assert approve(box, 1).code == "not_found|request"
    assert put(box, f"request/{rid}/status", {"status": "approved", "x": 1}).code == "unknown_field|x"
    assert approve(box, rid).status == 204
    assert approve(box, rid).code == "invalid_request_status"


# --- cancel ------------------------------------------------------------------------------------------


def test_cancel(box, web):
    p = box.placed(["c.example"])
    for word in ("canceled", "Canceled", "CANCELLED", "renewed"):
        assert cancel(box, p["id"], word).code == "invalid_field|status"
    a = cancel(box, p["id"])
    assert a.status == 204 and a.body == b""
    assert box.info(p["id"]).json["status"] == "canceled"
    assert {"order_id": p["id"], "certificate_id": p["certificate_id"], "status": "canceled"} in box.changes().json["orders"]
    assert cancel(box, p["id"]).code == "invalid_order_status"
    web.put("c.example", p["dcv_random_value"])
    assert box.check(p["id"]).code == "invalid_order_status"
    q = issued(box, ["c.example"])
    assert cancel(box, q["id"]).code == "invalid_order_status"
    box.admin("POST", f"orders/{q['id']}", {"status": "waiting_pickup"})
    assert cancel(box, q["id"]).status == 204


def test_cancel_of_a_reissue(box):
    p = issued(box, ["cr.example"])
    r = reissue(box, p["id"], ["cr.example"]).json
    assert cancel(box, p["id"]).status == 204
    info = box.info(p["id"]).json
    assert info["status"] == "issued" and info["certificate"]["id"] == p["certificate_id"]
    assert info["requests"][1]["status"] == "rejected" and info["reissues_count"] == 0
    assert box.download(r["certificate_id"]).status == 404 and rows(box, p["id"], "reissue") == []
    assert reissue(box, p["id"], ["cr.example"]).status == 201


# --- revoke ------------------------------------------------------------------------------------------


def test_revoke_with_and_without_approval(box):
    p = issued(box, ["v.example"])
    cid = p["certificate_id"]
    a = put(box, f"certificate/{cid}/revoke", {"comments": "gone", "revocation_reason": "superseded"})
    assert a.status == 201 and a.json["type"] == "revoke" and a.json["status"] == "pending"
    assert a.json["comments"] == "gone" and a.json["requester"]["email"] and a.json["date"].endswith("+00:00")
    assert box.info(p["id"]).json["status"] == "issued"
    assert approve(box, a.json["id"]).status == 204
    info = box.info(p["id"]).json
    assert info["status"] == "revoked" and info["certificate"]["status"] == "revoked"
    assert put(box, f"certificate/{cid}/revoke", {"skip_approval": True}).code == "invalid_order_status"

    p = issued(box, ["v.example"])
    serial = box.ledger(p["id"])["serial"]
    a = put(box, f"certificate/{serial.lower()}/revoke", {"comment": "x", "skip_approval": True})
    assert a.status == 204 and a.body == b"" and box.ledger(p["id"])["revoked"] == [serial]
    for setting in ({"revoke_approval": "always"}, {"revoke_approval": "skippable", "key_role": "user"}):
        box.admin("POST", "settings", setting)
        p = issued(box, ["v.example"])
        assert put(box, f"order/certificate/{p['id']}/revoke", {"skip_approval": True}).status == 201


def test_revoke_one_and_all(box):
    p = issued(box, ["o.example"])
    d = duplicate(box, p["id"], ["o.example"]).json
    assert put(box, f"certificate/{d['certificate_id']}/revoke", {"skip_approval": True}).status == 204
    assert box.info(p["id"]).json["status"] == "issued", "one certificate is not the order"
    assert statuses(box, p["id"]) == [("primary", "issued"), ("duplicate", "revoked")]
    assert [c["status"] for c in rows(box, p["id"], "duplicate")] == ["revoked"]
    assert put(box, f"order/certificate/{p['id']}/revoke", {"skip_approval": True}).status == 204
    assert box.info(p["id"]).json["status"] == "revoked" and len(box.ledger(p["id"])["revoked"]) == 2


def test_revoke_refusals(box):
    p = box.placed(["x.example"])
    assert put(box, f"order/certificate/{p['id']}/revoke", {}).code == "invalid_order_status"
    assert put(box, f"certificate/{p['certificate_id']}/revoke", {}).code == "not_found|certificate"
    box.issue(p["id"])
    path = f"certificate/{p['certificate_id']}/revoke"
    assert put(box, path, {"revocation_reason": "bored"}).code == "invalid_field|revocation_reason"
    assert put(box, path, {"reason": "superseded"}).code == "unknown_field|reason"
    assert put(box, "certificate/1/revoke", {}).code == "not_found|certificate"
    reissue(box, p["id"], ["x.example"])
    for where in (path, f"order/certificate/{p['id']}/revoke"):
        assert put(box, where, {"skip_approval": True}).code == "invalid_order_status", "a reissue is pending"


# --- the validation method ---------------------------------------------------------------------------


def test_change_of_method(box, web):
    p = box.placed(["me.example"], top={"dcv_method": "email", "dcv_emails": [
        {"dns_name": "me.example", "email_domain": "me.example", "email": "admin@me.example"}]})  # fmt: skip
    where = f"order/certificate/{p['id']}"
    assert box.check(p["id"]).code == "invalid_dns_method"
    assert put(box, f"{where}/resend-emails", None).status == 204
    a = put(box, f"{where}/dcv-method", {"dcv_method": "http-token"})
    assert a.status == 200 and set(a.json) == {"dcv_random_value", "expiration_date"}
    assert box.token(p["id"]).json == a.json
    assert put(box, f"{where}/resend-emails", {}).code == "invalid_dns_method"
    assert put(box, f"{where}/dcv-method", {"dcv_method": "http"}).code == "invalid_field|dcv_method"
    assert put(box, f"{where}/dcv-method", {"method": "email"}).code == "unknown_field|method"
    web.put("me.example", a.json["dcv_random_value"])
    assert box.check(p["id"]).json["order_status"] == "issued"
    assert put(box, f"{where}/dcv-method", {"dcv_method": "email"}).code == "invalid_order_status"
    w = box.placed(["*.me.example"], product="wildcard_dv_geotrust", top={"dcv_method": "dns-txt-token"})
    a = put(box, f"order/certificate/{w['id']}/dcv-method", {"dcv_method": "http-token"})
    assert a.code == "invalid_field|dcv_method"


@pytest.mark.parametrize(
    "entry, code",
    [
        ("x", "invalid_field|dcv_emails"),
        ({"dns_name": "a.e.example"}, "missing_field|dcv_emails.email_domain"),
        ({"dns_name": "b.e.example", "email_domain": "e.example", "email": "a@e.example"}, "invalid_field|dcv_emails.dns_name"),
        ({"dns_name": "a.e.example", "email_domain": "f.example", "email": "a@f.example"}, "invalid_field|dcv_emails.email_domain"),
        ({"dns_name": "a.e.example", "email_domain": "e.example", "email": "nobody"}, "invalid_field|dcv_emails.email"),
        ({"dns_name": "a.e.example", "email_domain": "e.example", "email": "admin@e.example"}, None),
    ],
)  # fmt: skip
def test_dcv_emails(box, entry, code):
    a = box.order(["a.e.example"], top={"dcv_method": "email", "dcv_emails": [entry]})
    assert (a.status, code) == (201, None) if code is None else (a.status, a.code) == (400, code)


# --- plans -------------------------------------------------------------------------------------------


def test_plan(box):
    p = issued(box, ["p.example"], top={"order_validity": {"years": 1}})
    first = leaf(box, p["certificate_id"])
    till = datetime.date.fromisoformat(box.info(p["id"]).json["order_valid_till"])
    assert (first.not_valid_after - first.not_valid_before).days == 199
    box.advance(190 * DAY)
    r = reissue(box, p["id"], ["p.example"]).json
    box.issue(p["id"])
    second = leaf(box, r["certificate_id"])
    assert second.not_valid_after.date() == till, "cut to the end of the plan"
    assert datetime.date.fromisoformat(box.info(p["id"]).json["order_valid_till"]) == till
    d = duplicate(box, p["id"], ["p.example"]).json
    assert leaf(box, d["certificate_id"]).not_valid_after == second.not_valid_after
    box.advance(176 * DAY)
    assert reissue(box, p["id"], ["p.example"]).code == "invalid_order_status", "the plan is over"
    renewed = box.placed(["p.example"], top={"renewal_of_order_id": p["id"]})
    assert box.info(p["id"]).json["is_renewed"] is True and box.info(p["id"]).json["renewed_order_id"] == renewed["id"]
    info = box.info(renewed["id"]).json
    assert info["is_renewal"] is True and info["renewal_of_order_id"] == p["id"]
    assert box.ledger(renewed["id"])["kind"] == "renewal"


def test_short_plan_cap_and_wishes(box):
    days = lambda c: (c.not_valid_after - c.not_valid_before).days
    p = issued(box, ["q.example"], top={"order_validity": {"days": 90}})
    assert days(leaf(box, p["certificate_id"])) == 90
    box.admin("POST", "settings", {"max_cert_days": 99})
    p = issued(box, ["q.example"])
    assert days(leaf(box, p["certificate_id"])) == 99
    r = reissue(box, p["id"], ["q.example"], cert={"cert_validity": {"days": 30}}).json
    box.issue(p["id"])
    assert days(leaf(box, r["certificate_id"])) == 30
    waiting = box.placed(["q.example"])["id"]
    for wrong in (1, waiting):
        a = box.order(["q.example"], top={"renewal_of_order_id": wrong})
        assert a.code == "invalid_field|renewal_of_order_id"


# --- what others do at the console -------------------------------------------------------------------


def test_console(box):
    p = issued(box, ["k.example"])
    o = act(box, p["id"], "reissue-by-console")
    assert o["reissues"] == 1 and o["certificate_id"] != p["certificate_id"] and o["status"] == "issued"
    strange = leaf(box, o["certificate_id"])
    assert not same_key(strange, "ec") and sans(strange) == ["k.example"]
    assert {"order_id": p["id"], "certificate_id": o["certificate_id"], "status": "issued"} in box.changes().json["orders"]
    assert act(box, p["id"], "revoke")["status"] == "revoked" and len(box.ledger(p["id"])["revoked"]) == 2
    q = box.placed(["k.example"])
    for action in ("revoke", "reissue-by-console", "approve", "reject"):
        assert box.call("POST", f"/sandbox/orders/{q['id']}", {"action": action}).status == 400


def test_faults_at_the_new_endpoints(box):
    p = issued(box, ["ft.example"])
    calls = {
        "reissue": lambda: reissue(box, p["id"], ["ft.example"]),
        "reissues": lambda: box.call("GET", f"{BASE}/{p['id']}/reissue"),
        "duplicate": lambda: duplicate(box, p["id"], ["ft.example"]),
        "duplicates": lambda: box.call("GET", f"{BASE}/{p['id']}/duplicate"),
        "revoke": lambda: put(box, f"order/certificate/{p['id']}/revoke", {}),
        "approve": lambda: approve(box, 1),
        "cancel": lambda: cancel(box, p["id"]),
        "method": lambda: put(box, f"order/certificate/{p['id']}/dcv-method", {"dcv_method": "email"}),
        "resend": lambda: put(box, f"order/certificate/{p['id']}/resend-emails", None),
    }
    for endpoint, call in calls.items():
        box.fault(endpoint, "status")
        assert call().status == 503, endpoint
        assert box.admin("GET", "counts")[endpoint] == 1
    assert statuses(box, p["id"]) == [("primary", "issued")]
    box.fault("reissue", "drop-after")
    with pytest.raises(Exception):
        calls["reissue"]()
    assert box.info(p["id"]).json["status"] == "reissue_pending"


# --- the account -------------------------------------------------------------------------------------


def listed(box, **filters):
    query = urllib.parse.urlencode({(k if k in ("limit", "offset") else f"filters[{k}]"): v for k, v in filters.items()})
    a = box.call("GET", f"{BASE}?{query}")
    assert a.status == 200, a.body
    return a.json


def ids(answer):
    return [o["id"] for o in answer["orders"]]


def test_list_of_orders(box):
    one = box.placed(["one.list.example", "alias.list.example"])
    two = issued(box, ["two.list.example"], product="ssl_dv_geotrust")
    assert ids(listed(box, domain_name="Alias.list.example")) == [one["id"]]
    assert ids(listed(box, common_name="alias.list.example")) == []
    row = listed(box, id=two["id"])["orders"][0]
    assert row["certificate"]["id"] == two["certificate_id"] and row["certificate"]["dns_names"] == ["two.list.example"]
    assert row["status"] == "issued" and row["product"]["name_id"] == "ssl_dv_geotrust" and row["certificate"]["valid_till"]
    serial = box.ledger(two["id"])["serial"]
    assert ids(listed(box, serial_number=serial.lower())) == [two["id"]]
    assert ids(listed(box, certificate_id=two["certificate_id"], status="issued")) == [two["id"]]
    assert ids(listed(box, certificate_id=two["certificate_id"], status="pending")) == []
    both = box.call("GET", f"{BASE}?filters%5Bdomain_name%5D[0]=one.list.example&filters[domain_name][1]=two.list.example")
    assert ids(both.json) == [one["id"], two["id"]]
    everything = listed(box)
    assert everything["page"]["total"] == len(box.orders())
    last = listed(box, limit=1, offset=everything["page"]["total"] - 1)
    assert ids(last) == [two["id"]] and last["page"]["limit"] == 1
    assert listed(box, domain_name="none.list.example") == {"orders": [], "page": {"total": 0, "limit": 1000, "offset": 0}}
    for query, code in (
        ("filters[domain]=x", "unknown_field|filters[domain]"),
        ("filters[status][x]=issued", "unknown_field|filters[status][x]"),
        ("filters[alternative_order_id]=x", "unknown_field|filters[alternative_order_id]"),
        ("filters[status]=Issued", "invalid_field|filters[status]"),
        ("filters[date_created]=today", "invalid_field|filters[date_created]"),
        ("limit=1001", "invalid_field|limit"),
    ):
        assert box.call("GET", f"{BASE}?{query}").code == code


def test_list_by_mountain_time(box):
    base = datetime.datetime(2031, 5, 4, 3, 0, tzinfo=datetime.timezone.utc)  # the evening of the third in the mountains
    box.admin("POST", "clock", {"offset_s": int(base.timestamp() - time.time())})
    p = box.placed(["mt.example"])
    for value, there in (
        ("2031-05-03", True), ("2031-05-04", False), ("2031-05-03...2031-05-03", True), (">2031-05-02", True),
        (">2031-05-03", False), ("<2031-05-03", False), ("<2031-05-04", True),
        ("2031-05-03 20:50:00...2031-05-03 21:10:00", True), ("2031-05-04 02:50:00...2031-05-04 03:10:00", False),
    ):  # fmt: skip
        assert ids(listed(box, date_created=value, domain_name="mt.example")) == ([p["id"]] if there else []), value


def test_me_and_products(box):
    me = box.call("GET", "/services/v2/user/me").json
    assert me["access_roles"][0]["name"] == "Administrator"
    box.admin("POST", "settings", {"key_role": "user"})
    assert box.call("GET", "/services/v2/user/me").json["access_roles"][0]["name"] != "Administrator"
    products = box.call("GET", "/services/v2/product").json["products"]
    assert "ssl_dv_geotrust" in [p["name_id"] for p in products]
    assert all(box.order(["p.example"], product=p["name_id"]).status in (201, 400) for p in products)
    assert box.call("GET", "/services/v2/product?x=1").code == "unknown_field|x"


# --- AuthKeys and instant issuance -------------------------------------------------------------------


def key_call(box, method, path):
    return box.call(method, f"/services/v2/account/{path}")


def request_token(key, csr, at):
    """Fact: base 36 of HMAC-SHA256(key text, timestamp and CSR text), 50 digits, after the timestamp in UTC."""
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(at)) if not isinstance(at, str) else at
    number = int.from_bytes(hmac.new(key.encode(), (stamp + csr).encode(), hashlib.sha256).digest(), "big")
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return stamp + digits.rjust(50, "0")


def test_request_token_vectors():
    """The same numbers from three other implementations; among them one and two leading zeros."""
    for value, want in (
        ("some-token-value", "202611210000000d3zelhm2qby6vugaantn7l2v1xwevjcc0jw1dn9jsiz4zzrdh"),
        ("pad-273", "2026112100000000vu0x1lb4ohodm2u5t391zzf0lorv84kxqcb8aoevvk4muuw1"),
    ):
        assert request_token("someToken", value, "20261121000000") == want


TEXTS = {}


def csr_text(kind="ec"):
    """Always the same one: a request token belongs to one text."""
    return TEXTS.setdefault(kind, csr_of(kind))


@pytest.fixture
def keyed(start):
    return start("--rate", "off", "--ca-poll", "0s")


def test_auth_keys(keyed):
    box = keyed
    assert key_call(box, "GET", "account/auth-key").code == "not_found|route"
    assert key_call(box, "GET", "auth-key").code == "not_found|auth_key"
    assert key_call(box, "GET", "auth-keys").json == {"auth_keys": []}
    a = key_call(box, "POST", "auth-key")
    assert a.status == 200 and set(a.json) == {"auth_key_id", "auth_key"}
    again = key_call(box, "POST", "auth-key")
    assert (again.status, again.code) == (400, "auth_key_exists_for_account")
    one = key_call(box, "GET", "auth-key").json
    assert one["auth_key"] == a.json["auth_key"] and one["status"] == "active"
    short = key_call(box, "POST", "auth-key/1").json
    assert set(short) == {"auth_key_id", "auth_key", "expiration_datetime"}
    assert short["expiration_datetime"].endswith("+00:00")
    assert key_call(box, "GET", "auth-key").status == 400, "which one?"
    assert key_call(box, "POST", "auth-key/0").code == "invalid_field|days"
    assert [k["auth_key_id"] for k in key_call(box, "GET", "auth-keys").json["auth_keys"]] == [
        one["auth_key_id"], short["auth_key_id"],
    ]  # fmt: skip
    box.advance(DAY + 1)
    assert len(key_call(box, "GET", "auth-keys").json["auth_keys"]) == 1
    assert key_call(box, "GET", f"auth-key/{short['auth_key_id']}").json["status"] == "expired"
    assert key_call(box, "GET", "auth-key/none").code == "not_found|auth_key"
    bad = box.order(["x.example"], top={"use_auth_key": True, "auth_key_id": short["auth_key_id"]})
    assert (bad.status, bad.code) == (400, "invalid_field|auth_key_id")
    box.admin("POST", "settings", {"key_scope": "orders"})
    for method, path in (("POST", "auth-key"), ("GET", "auth-key"), ("GET", "auth-keys")):
        assert key_call(box, method, path).code == "access_denied|missing_permission"


def test_instant_issuance(keyed, web):
    box = keyed
    top = {"use_auth_key": True}
    a = box.order(["in.example"], top=top)
    assert (a.status, a.code) == (400, "auth_key_not_setup") and box.orders() == []
    key = key_call(box, "POST", "auth-key").json["auth_key"]
    box.admin("POST", "settings", {"issue_delay_s": 3600})
    token = request_token(key, csr_text(), time.time() - 300)
    assert len(token) == 64
    web.put("in.example", "# a good one among bad ones\n" + request_token("other", csr_text(), time.time()) + "\n" + token)
    p = box.placed(["in.example"], csr_text(), top=top)
    assert set(p) == {"id", "certificate_id", "certificate_chain"}
    cert, intermediate, root = [split_pem(c["pem"])[0] for c in p["certificate_chain"]]
    assert same_key(cert, "ec") and signed_by(cert, intermediate) and signed_by(root, root)
    assert box.info(p["id"]).json["status"] == "issued" and leaf(box, p["certificate_id"]) == cert
    web.put("in.example", "x" * 10 + token + "y" * 10)
    assert "certificate_chain" in box.placed(["in.example"], csr_text(), top=top), "anywhere in the file"

    for more, names, csr in (
        ({"use_auth_key": False}, ["in.example"], csr_text()),
        ({}, ["in.example"], csr_text()),
        (top, ["in.example", "elsewhere.in.example"], csr_text()),
        ({**top, "dcv_method": "dns-cname-token"}, ["in.example"], csr_text()),
        ({**top, "dcv_method": "dns-txt-token"}, ["in.example"], csr_text()),
        (top, ["in.example"], csr_text("ec2")),
        (top, ["in.example"], csr_text().replace("\n", "\r\n")),
        (top, ["in.example"], csr_text().strip()),
    ):
        p = box.placed(names, csr, top=more)
        assert set(p) == {"id", "certificate_id", "dcv_random_value"}, more
        assert box.info(p["id"]).json["status"] == "pending"
    box.admin("POST", "settings", {"use_auth_key": "old"})
    assert "certificate_chain" in box.placed(["in.example"], csr_text())
    assert "dcv_random_value" in box.placed(["in.example"], csr_text(), top={"use_auth_key": False})
    box.admin("POST", "settings", {"approval": "required"})
    assert "requests" in box.placed(["in.example"], top={"skip_approval": False})


def test_request_tokens_that_are_no_good(keyed, web):
    box = keyed
    top = {"use_auth_key": True}
    key = key_call(box, "POST", "auth-key").json["auth_key"]
    now, csr = time.time(), csr_text()
    good = request_token(key, csr, now - 60)
    broken = good[:-1] + ("0" if good[-1] != "0" else "1")
    for what, token in (
        ("future", request_token(key, csr, now + 60)),
        ("old", request_token(key, csr, now - 30 * DAY - 60)),
        ("upper case", good.upper() if good.upper() != good else "x"),
        ("other key", request_token(key.upper(), csr, now - 60)),
        ("one digit", broken),
        ("cut", good[:-1]),
        ("local time", request_token(key, csr, now + 9 * 3600)),
        ("no date", request_token(key, csr, time.strftime("%Y", time.gmtime(now)) + "1399250000")),
    ):
        web.put("bad.example", token)
        assert "certificate_chain" not in box.placed(["bad.example"], csr_text(), top=top), what
    web.put("bad.example", request_token(key, csr, now - 30 * DAY + 60))
    assert "certificate_chain" in box.placed(["bad.example"], csr_text(), top=top)
    short = key_call(box, "POST", "auth-key/5").json
    web.put("bad.example", request_token(short["auth_key"], csr, now - 60))
    assert "certificate_chain" not in box.placed(["bad.example"], csr_text(), top=top), "the everlasting key is the default"
    assert "certificate_chain" in box.placed(["bad.example"], csr_text(), top={**top, "auth_key_id": short["auth_key_id"]})


# --- DNS ---------------------------------------------------------------------------------------------


class Names:
    """A name server: records by (name, type); what is not there does not exist. Silent when told so."""

    TYPES = {"CNAME": 5, "TXT": 16}

    def __init__(self):
        self.records, self.asked, self.silent = {}, [], False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def add(self, name, kind, *values):
        self.records.setdefault((name, self.TYPES[kind]), []).extend(values)

    @staticmethod
    def wire(name):
        return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"

    def data(self, kind, value):
        if kind == 5:
            return self.wire(value)
        parts = value if isinstance(value, tuple) else (value,)
        return b"".join(bytes([len(p)]) + p.encode() for p in parts)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        name, kind = ".".join(labels), struct.unpack(">H", query[at + 1 : at + 3])[0]
        self.asked.append((name, kind))
        found = [(kind, v) for v in self.records.get((name, kind), [])]
        if kind != 5:
            found += [(5, v) for v in self.records.get((name, 5), [])]
        exists = any(n == name for n, _ in self.records)
        head = query[:2] + struct.pack(">HHHHH", 0x8500 if exists else 0x8503, 1, len(found), 0, 0)
        body = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", k, 1, 1, len(self.data(k, v))) + self.data(k, v) for k, v in found
        )
        return head + query[12 : at + 5] + body

    def serve(self):
        while True:
            query, who = self.socket.recvfrom(4096)
            if query == b"stop":
                return
            if not self.silent:
                self.socket.sendto(self.answer(query), who)

    def stop(self):
        host, port = self.address.split(":")
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as s:
            s.sendto(b"stop", (host, int(port)))
        self.thread.join()
        self.socket.close()


@pytest.fixture
def names():
    n = Names()
    yield n
    n.stop()


@pytest.fixture
def dnsbox(start, names):
    return start("--rate", "off", "--ca-poll", "0s", "--dns", names.address)


TXT = {"dcv_method": "dns-txt-token"}
CNAME = {"dcv_method": "dns-cname-token"}


def check_status(box, order_id):
    return box.check(order_id).json["order_status"]


def test_txt_places(dnsbox, names):
    box = dnsbox
    p = box.placed(["a.example", "b.example", "*.c.example"], top=TXT)
    value = p["dcv_random_value"]
    assert check_status(box, p["id"]) == "pending"
    assert names.asked[:2] == [("_dnsauth.a.example", 16), ("a.example", 16)]
    names.add("_dnsauth.a.example", "TXT", "something else", f"before {value} behind")
    names.add("b.example", "TXT", (value[:10], value[10:]))
    assert check_status(box, p["id"]) == "pending"
    assert box.ledger(p["id"])["validated"] == ["a.example", "b.example"]
    names.add("_dnsauth.c.example", "TXT", value)
    assert check_status(box, p["id"]) == "issued"
    assert not any(n.startswith("*") for n, _ in names.asked)


def test_txt_elsewhere_is_no_proof(dnsbox, names):
    box = dnsbox
    p = box.placed(["sub.d.example"], top=TXT)
    value = p["dcv_random_value"]
    names.add("d.example", "TXT", value)
    names.add("_dnsauth.d.example", "TXT", value)
    names.add("_dnsauth.sub.d.example.d.example", "TXT", value)
    names.add("_dnsauth.sub.d.example", "TXT", value[:-1], value.upper())
    assert check_status(box, p["id"]) == "pending"
    box.admin("POST", "settings", {"dcv_replies": "old"})
    assert box.check(p["id"]).code == "invalid_dns_txt"


def test_txt_behind_cnames(dnsbox, names):
    box = dnsbox
    p = box.placed(["e.example"], top=TXT)
    names.add("_dnsauth.e.example", "CNAME", "one.example.net")
    names.add("one.example.net", "CNAME", "two.example.net")
    names.add("two.example.net", "TXT", p["dcv_random_value"])
    assert check_status(box, p["id"]) == "issued"
    p = box.placed(["loop.example"], top=TXT)
    names.add("_dnsauth.loop.example", "CNAME", "_dnsauth.loop.example")
    assert check_status(box, p["id"]) == "pending"


def test_cname_layout(dnsbox, names):
    box = dnsbox
    p = box.placed(["f.example", "*.f2.example"], top=CNAME)
    value = p["dcv_random_value"]
    names.add(f"_{value}.f.example", "CNAME", "dcv.digicert.com")
    names.add("_dnsauth.f2.example", "CNAME", f"{value}.dcv.digicert.com")
    assert check_status(box, p["id"]) == "pending"
    assert box.ledger(p["id"])["validated"] == ["*.f2.example"]
    names.add("_dnsauth.f.example", "CNAME", f"{value}.DCV.digicert.com")
    assert check_status(box, p["id"]) == "issued"
    p = box.placed(["g.example"], top=CNAME)
    names.add("_dnsauth.g.example", "TXT", p["dcv_random_value"])
    assert check_status(box, p["id"]) == "pending"


def test_instant_issuance_by_txt(dnsbox, names):
    box = dnsbox
    key = key_call(box, "POST", "auth-key").json["auth_key"]
    variants = [request_token(key, c, time.time() - 300) for c in (csr_text(), csr_text().replace("\n", "\r\n"))]
    for name in ("h.example", "_dnsauth.h2.example"):
        names.add(name, "TXT", "v=spf1 -all", *variants)
    p = box.placed(["h.example", "h2.example"], csr_text(), top={**TXT, "use_auth_key": True})
    assert len(p["certificate_chain"]) == 3
    one_line = csr_text().replace("\n", "")
    assert "certificate_chain" not in box.placed(["h.example"], one_line, top={**TXT, "use_auth_key": True})


def test_ca_polls_dns_and_silence_blocks_nobody(start, names):
    box = start("--rate", "off", "--ca-poll", "1s", "--dns", names.address)
    names.silent = True
    p = box.placed(["s.example"], top=TXT)
    time.sleep(1.2)
    begin = time.monotonic()
    assert box.info(p["id"]).json["status"] == "pending"
    assert time.monotonic() - begin < 1
    names.add("_dnsauth.s.example", "TXT", p["dcv_random_value"])
    names.silent = False
    box.wait(p["id"], "issued", timeout=15)


def test_dns_option(tmp_path):
    from test_sandbox import run

    for bad in ("127.0.0.1", "localhost:53", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:53,127.0.0.2:53", "::1:53"):
        r = run("--dir", tmp_path / "x", "--dns", bad)
        assert r.returncode == 64 and "ADDR:PORT" in r.stderr, bad
