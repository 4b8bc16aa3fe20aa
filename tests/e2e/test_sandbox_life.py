# SPDX-License-Identifier: Apache-2.0
"""dvcert-sandbox, the life after the first certificate (docs/SANDBOX.md): reissue, duplicate, revocation, requests that
somebody has to approve, cancellation, plans. Tools and fixtures are those of test_sandbox.py."""

import datetime

import pytest
from test_sandbox import (  # noqa: F401 - fixtures
    DAY, box, csr_of, key_of, sans, shared, signed_by, split_pem, start, web,
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


def test_key_of_a_user_skips_nothing(box):
    box.admin("POST", "settings", {"approval": "required", "key_role": "user"})
    assert "requests" in box.placed(["u.example"], top={"skip_approval": True})
    box.admin("POST", "settings", {"key_role": "admin"})
    p = issued(box, ["v.example"], top={"skip_approval": True})
    box.admin("POST", "settings", {"key_role": "user"})
    assert "requests" in reissue(box, p["id"], ["v.example"]).json


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


def test_issued_at_the_console_while_a_request_waits(box):
    box.admin("POST", "settings", {"approval": "required"})
    p = issued(box, ["cw.example"])
    r = reissue(box, p["id"], ["cw.example"], top={"skip_approval": False}).json
    o = act(box, p["id"], "issue")
    assert o["status"] == "issued" and o["reissues"] == 1
    assert approve(box, r["requests"][0]["id"], "rejected").code == "invalid_request_status"
    q = box.placed(["cw.example"])
    box.admin("POST", f"orders/{q['id']}", {"status": "needs_approval"})
    info = box.info(q["id"]).json
    assert "id" not in info["certificate"] and info["has_pending_request"] is True
    assert approve(box, info["requests"][0]["id"]).status == 204
    assert box.info(q["id"]).json["certificate"]["id"] == q["certificate_id"]


def test_revoked_while_a_reissue_waits(box):
    """The request to revoke is older than the reissue, and is approved after it."""
    p = issued(box, ["rw.example"])
    a = put(box, f"order/certificate/{p['id']}/revoke", {"comments": "x"}).json
    assert reissue(box, p["id"], ["rw.example"]).status == 201
    assert approve(box, a["id"]).status == 204
    assert box.info(p["id"]).json["status"] == "revoked"
    assert cancel(box, p["id"]).code == "invalid_order_status"
    assert box.token(p["id"]).code == "invalid_order_status"


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


@pytest.mark.parametrize("name", ["*.w.example", "w.example"])
def test_dcv_emails_of_a_wildcard(box, name):
    """What is proven is the name behind the star; the pages do not say which of the two an entry names."""
    entry = {"dns_name": name, "email_domain": "w.example", "email": "admin@w.example"}
    top = {"dcv_method": "email", "dcv_emails": [entry]}
    assert box.order(["*.w.example"], product="wildcard_dv_geotrust", top=top).status == 201
    entry["dns_name"] = "x.w.example"
    a = box.order(["*.w.example"], product="wildcard_dv_geotrust", top=top)
    assert a.code == "invalid_field|dcv_emails.dns_name"


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


def test_end_of_the_plan(box, web):
    p = issued(box, ["ep.example"], top={"order_validity": {"days": 250}})
    web.put("ep.example", "")
    box.advance(200 * DAY)
    a = duplicate(box, p["id"], ["ep.example"])
    assert a.code == "invalid_order_status", "the original is over, the plan is not"
    r = reissue(box, p["id"], ["ep.example"]).json
    box.advance(51 * DAY)
    web.put("ep.example", box.token(p["id"]).json["dcv_random_value"])
    assert box.check(p["id"]).json["order_status"] == "reissue_pending", "proven, but nothing outlives the plan"
    assert box.download(r["certificate_id"]).status == 404
    assert box.call("POST", f"/sandbox/orders/{p['id']}", {"action": "issue"}).status == 400
    assert cancel(box, p["id"]).status == 204
    assert duplicate(box, p["id"], ["ep.example"]).code == "invalid_order_status"
    assert box.call("POST", f"/sandbox/orders/{p['id']}", {"action": "reissue-by-console"}).status == 400


def test_requests_that_outlive_the_plan(box):
    box.admin("POST", "settings", {"approval": "required"})
    waits = {"skip_approval": None}
    p = issued(box, ["rq.example"], top={"order_validity": {"days": 90}})
    a = reissue(box, p["id"], ["rq.example"], top=waits).json["requests"][0]["id"]
    q = issued(box, ["rq.example"], top={"order_validity": {"days": 90}})
    b = duplicate(box, q["id"], ["rq.example"], top=waits).json["requests"][0]["id"]
    box.advance(91 * DAY)
    for order, request in ((p, a), (q, b)):
        assert approve(box, request).code == "invalid_order_status"
        assert box.call("POST", f"/sandbox/orders/{order['id']}", {"action": "approve"}).status == 400
        assert approve(box, request, "rejected").status == 204
        assert box.info(order["id"]).json["status"] == "issued"


def test_plan_until_a_date(box):
    today = datetime.datetime.now(datetime.timezone.utc).date()
    until = today + datetime.timedelta(days=120)
    p = box.placed(["cd.example"], top={"order_validity": {"custom_expiration_date": str(until)}})
    box.advance(30 * DAY)
    box.issue(p["id"])
    assert box.info(p["id"]).json["order_valid_till"] == str(until), "not later, because it was issued later"
    assert leaf(box, p["certificate_id"]).not_valid_after.date() == until
    q = box.placed(["cd.example"], top={"order_validity": {"custom_expiration_date": str(until)}})
    box.advance(91 * DAY)
    assert box.call("POST", f"/sandbox/orders/{q['id']}", {"action": "issue"}).status == 400


def test_cap_changes_while_it_runs(box):
    days = []
    for cap in (0, 99, 46):
        box.admin("POST", "settings", {"max_cert_days": cap})
        cert = leaf(box, issued(box, ["cap.example"])["certificate_id"])
        days.append((cert.not_valid_after - cert.not_valid_before).days)
    assert days == [199, 99, 46]


def test_end_of_plan_is_left_out(box):
    p = issued(box, ["lo.example"])
    assert "order_valid_till" in box.info(p["id"]).json
    box.admin("POST", "settings", {"order_valid_till": "absent"})
    assert "order_valid_till" not in box.info(p["id"]).json
    box.advance(366 * DAY)
    assert reissue(box, p["id"], ["lo.example"]).code == "invalid_order_status", "it ends all the same"


# --- reading -----------------------------------------------------------------------------------------


def test_info_by_serial_and_thumbprint_of_the_primary(box):
    p = issued(box, ["sn.example"])
    d = duplicate(box, p["id"], ["sn.example"]).json
    old = box.info(p["id"]).json["certificate"]
    for text in (old["serial_number"], old["serial_number"].lower(), old["thumbprint"], old["thumbprint"].lower()):
        assert box.info(text).json == box.info(p["id"]).json
    copy = rows(box, p["id"], "duplicate")[0]
    assert copy["id"] == d["certificate_id"]
    for text in (copy["serial_number"], copy["thumbprint"], old["serial_number"][:-1], "0" * 40):
        assert box.info(text).code == "not_found|order", text
    reissue(box, p["id"], ["sn.example"])
    assert box.info(old["serial_number"]).json["status"] == "reissue_pending"
    box.issue(p["id"])
    new = box.info(p["id"]).json["certificate"]
    assert box.info(new["serial_number"]).json["certificate"]["id"] == new["id"]
    assert box.info(old["serial_number"]).code == "not_found|order", "the primary is another one now"


def test_other_downloads(box):
    p = box.placed(["od.example"])
    by_order = f"/services/v2/certificate/download/order/{p['id']}/format"
    chain = lambda cid: box.call("GET", f"/services/v2/certificate/{cid}/chain")
    assert box.call("GET", f"{by_order}/pem_all").code == chain(p["certificate_id"]).code == "not_found|certificate"
    box.issue(p["id"])
    r = reissue(box, p["id"], ["od.example"]).json["certificate_id"]
    active = box.call("GET", f"{by_order}/pem_all")
    assert active.body == box.download(p["certificate_id"]).body, "the old one, as long as the new one is not there"
    assert chain(r).status == 404
    box.issue(p["id"])
    assert box.call("GET", f"{by_order}/pem_noroot").body == box.download(r, "pem_noroot").body
    first, intermediate, root = [split_pem(c["pem"])[0] for c in chain(r).json["intermediates"]]
    assert first == leaf(box, r) and signed_by(first, intermediate) and signed_by(intermediate, root)
    assert box.call("GET", f"{by_order}/zip").code == "invalid_field|format"
    assert box.call("GET", "/services/v2/certificate/download/order/1/format/pem_all").code == "not_found|order"
    assert box.admin("GET", "counts")["chain"] == 3
    box.fault("download", "wrong-cert", variant="other-key")
    assert not same_key(split_pem(box.call("GET", f"{by_order}/pem_all").body)[0], "ec2")


# --- random values -----------------------------------------------------------------------------------


def test_life_of_random_values(box, web):
    box.admin("POST", "settings", {"token_days": 2})
    p = box.placed(["rv.example"])
    expires = datetime.datetime.fromisoformat(box.token(p["id"]).json["expiration_date"])
    assert abs(expires.timestamp() - box.admin("GET", "clock")["now_s"] - 2 * DAY) < 30
    box.advance(2 * DAY - 60)
    assert box.check(p["id"]).code == "file_random_value_not_found"
    box.advance(61)
    web.put("rv.example", p["dcv_random_value"])
    a = box.check(p["id"])
    assert (a.status, a.code) == (400, "random_value_expired")
    web.put("rv.example", box.token(p["id"]).json["dcv_random_value"])
    assert box.check(p["id"]).json["order_status"] == "issued"
    box.advance(3 * DAY)
    assert box.check(p["id"]).json["order_status"] == "issued", "what is proven needs no value"
    for replies in ("new", "old"):
        box.admin("POST", "settings", {"dcv_replies": replies})
        q = box.placed(["rv2.example"], top={"dcv_method": "dns-txt-token"})
        box.advance(2 * DAY + 1)
        assert box.check(q["id"]).code == "random_value_expired"


def test_method_that_keeps_the_value(box, web):
    box.admin("POST", "settings", {"method_value": "same"})
    p = box.placed(["mv.example"], top={"dcv_method": "dns-txt-token"})
    method = lambda: put(box, f"order/certificate/{p['id']}/dcv-method", {"dcv_method": "http-token"}).json
    assert method() == box.token(p["id"]).json and method()["dcv_random_value"] == p["dcv_random_value"]
    box.advance(31 * DAY)
    assert method()["dcv_random_value"] != p["dcv_random_value"], "not one that has expired"
    box.admin("POST", "settings", {"method_value": "new"})
    before = method()["dcv_random_value"]
    assert method()["dcv_random_value"] != before


# --- CAA ---------------------------------------------------------------------------------------------


def forbid(box, name, answer="failed"):
    return box.admin("POST", "caa", {"name": name, "answer": answer})


def test_caa_refuses(box):
    forbid(box, "No.caa.example")
    assert forbid(box, "lost.caa.example", "not_found") == {
        "caa": [{"name": "no.caa.example", "answer": "failed"}, {"name": "lost.caa.example", "answer": "not_found"}]
    }
    for names, code in (
        (["no.caa.example"], "caa_check_failed|no.caa.example"),
        (["caa.example", "www.no.caa.example"], "caa_check_failed|www.no.caa.example"),
        (["*.lost.caa.example"], "caa_not_found|*.lost.caa.example"),
        (["caa.example", "anno.caa.example"], None),
    ):
        a = box.order(names, top={"dcv_method": "dns-txt-token"})
        assert (a.status, a.code if code else None) == (400 if code else 201, code)
    p = issued(box, ["caa.example"])
    assert reissue(box, p["id"], ["caa.example", "no.caa.example"]).code == "caa_check_failed|no.caa.example"
    forbid(box, "caa.example", "not_found")
    assert reissue(box, p["id"], ["caa.example"]).code == duplicate(box, p["id"], ["caa.example"]).code
    assert duplicate(box, p["id"], ["caa.example"]).code == "caa_not_found|caa.example"
    assert box.info(p["id"]).json["status"] == "issued" and box.ledger(p["id"])["duplicates"] == 0
    forbid(box, "caa.example", "failed")
    assert len(box.admin("GET", "caa")["caa"]) == 3, "said again, changed"
    assert duplicate(box, p["id"], ["caa.example"]).code == "caa_check_failed|caa.example"
    for body in ({"name": "x.example"}, {"name": "x.example", "answer": "no"}, {"name": 1, "answer": "failed"}):
        assert box.call("POST", "/sandbox/caa", body).status == 400
    assert box.admin("DELETE", "caa") == {"caa": []} and duplicate(box, p["id"], ["caa.example"]).status == 201


def test_caa_keeps_an_order_pending(box, web):
    p = box.placed(["caap.example", "www.caap.example"])
    message = lambda said="true": box.call("GET", f"{BASE}/{p['id']}?include_caa_status={said}").json.get("caa_status_message")
    assert message() == {n: "CAA check is not called yet" for n in ("caap.example", "www.caap.example")}
    assert message("false") is None and "caa_status_message" not in box.info(p["id"]).json
    assert box.call("GET", f"{BASE}/{p['id']}?include_caa_status=1").code == "invalid_field|include_caa_status"
    forbid(box, "www.caap.example")
    for n in ("caap.example", "www.caap.example"):
        web.put(n, p["dcv_random_value"])
    a = box.check(p["id"]).json
    assert a["order_status"] == "pending" and {v["status"] for v in a["dns_name_validations"]} == {"approved"}
    assert message()["caap.example"] == "CAA check passed" and "do not allow" in message()["www.caap.example"]
    assert box.info(p["id"]).json["status"] == "pending"
    box.admin("DELETE", "caa")
    box.wait(p["id"], "issued")
    assert message() is None, "only while it is pending"


# --- counts ------------------------------------------------------------------------------------------


def test_requests_of_one_issuance(box, web):
    """What a benchmark asks: how many requests, and which, since a reset."""
    p = issued(box, ["n.example"])
    box.admin("DELETE", "requests")
    assert box.admin("GET", "counts")["n_requests"] == 0
    r = reissue(box, p["id"], ["n.example"]).json
    web.put("n.example", r["dcv_random_value"])
    box.check(p["id"])
    box.download(r["certificate_id"])
    counts = box.admin("GET", "counts")
    assert {k: n for k, n in counts.items() if n} == {"reissue": 1, "check": 1, "download": 1, "n_requests": 3}
    box.call("GET", "/services/v2/nothing")
    assert box.admin("GET", "counts")["n_requests"] == 4


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
