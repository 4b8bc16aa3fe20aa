# SPDX-License-Identifier: Apache-2.0
"""dvcert-sandbox, the account (docs/SANDBOX.md): lists of orders, user, products, AuthKeys, instant issuance by request
tokens; and proofs in DNS, against a name server that lives in this file."""

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
from test_sandbox import (  # noqa: F401 - fixtures
    DAY, box, csr_of, run, shared, signed_by, split_pem, start, web,
)  # fmt: skip
from test_sandbox_life import BASE, cancel, duplicate, issued, leaf, reissue, same_key


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


def test_list_filters_of_life(box):
    old = issued(box, ["old.fl.example"], top={"disable_renewal_notifications": True})
    new = box.placed(["new.fl.example"], top={"renewal_of_order_id": old["id"]})
    mine = {"product_name_id": "cloud_dv_geotrust", "search": "FL.example"}
    assert ids(listed(box, **mine)) == [old["id"], new["id"]]
    assert ids(listed(box, search="nowhere.fl")) == []
    assert ids(listed(box, **mine, is_renewed=1)) == [old["id"]] and ids(listed(box, **mine, is_renewed=0)) == [new["id"]]
    assert ids(listed(box, **mine, disable_renewal_notifications=1)) == [old["id"]]
    end = datetime.date.fromisoformat(box.info(old["id"]).json["certificate"]["valid_till"])
    day = datetime.timedelta(days=1)
    assert ids(listed(box, **mine, valid_till=f"{end - day}...{end + day}")) == [old["id"]], "the other has no end yet"
    assert ids(listed(box, **mine, valid_till=f"<{end - day}")) == [] == ids(listed(box, **mine, valid_till=f">{end + day}"))
    me = box.call("GET", "/services/v2/user/me").json["id"]
    assert ids(listed(box, **mine, user_id=me)) == ids(listed(box, **mine)) and ids(listed(box, **mine, user_id=me + 1)) == []
    assert ids(listed(box, **mine, container_id=box.info(old["id"]).json["container"]["id"])) == [old["id"], new["id"]]
    assert ids(listed(box, **mine, organization_id=1)) == [], "a DV order has none"
    for query in ("is_renewed]=true", "valid_till]=soon", "user_id]=me", "disable_renewal_notifications]=2"):
        assert box.call("GET", f"{BASE}?filters[{query}").code == f"invalid_field|filters[{query.split('=')[0]}"


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


def test_auth_key_is_deleted(keyed):
    box = keyed
    keys = [key_call(box, "POST", path).json["auth_key_id"] for path in ("auth-key/1", "auth-key", "auth-key/2")]
    listed_ids = lambda: [k["auth_key_id"] for k in key_call(box, "GET", "auth-keys").json["auth_keys"]]
    a = key_call(box, "DELETE", f"auth-key/{keys[0]}")
    assert a.status == 204 and a.body == b"" and listed_ids() == keys[1:]
    assert key_call(box, "GET", f"auth-key/{keys[0]}").code == "not_found|auth_key"
    assert key_call(box, "DELETE", f"auth-key/{keys[0]}").code == "not_found|auth_key"
    assert key_call(box, "DELETE", "auth-key").code == "not_found|route"
    assert box.order(["d.example"], top={"auth_key_id": keys[0]}).code == "invalid_field|auth_key_id"
    assert key_call(box, "DELETE", f"auth-key/{keys[1]}").status == 204
    again = key_call(box, "POST", "auth-key").json["auth_key_id"]
    assert listed_ids() == [keys[2], again]
    for key in (keys[2], again):
        key_call(box, "DELETE", f"auth-key/{key}")
    assert listed_ids() == [] and box.order(["d.example"], top={"use_auth_key": True}).code == "auth_key_not_setup"
    box.admin("POST", "settings", {"key_scope": "orders"})
    assert key_call(box, "DELETE", f"auth-key/{again}").code == "access_denied|missing_permission"


def test_one_auth_key_in_the_old_generation(keyed, web):
    box = keyed
    box.admin("POST", "settings", {"auth_keys": "one"})
    assert key_call(box, "POST", "auth-key/5").code == "not_found|route"
    made = key_call(box, "POST", "auth-key").json
    assert set(made) == {"auth_key_id", "auth_key"}
    assert key_call(box, "POST", "auth-key").code == "auth_key_exists_for_account"
    assert key_call(box, "GET", "auth-key").json["auth_key"] == made["auth_key"]
    for path in ("auth-keys", f"auth-key/{made['auth_key_id']}"):
        assert key_call(box, "GET", path).code == "not_found|route"
    web.put("one.example", request_token(made["auth_key"], csr_text(), time.time() - 60))
    assert "certificate_chain" in box.placed(["one.example"], csr_text(), top={"use_auth_key": True})
    named = box.order(["one.example"], top={"use_auth_key": True, "auth_key_id": made["auth_key_id"]})
    assert named.code == "unknown_field|auth_key_id"


def test_encryption_everywhere(keyed, web):
    box = keyed
    listed_ids = [p["name_id"] for p in box.call("GET", "/services/v2/product").json["products"]]
    ee = {"product": "ssl_dv_ee"}
    assert ee["product"] in listed_ids
    for use in (True, False, None):
        a = box.order(["ee.example"], **ee, top={"use_auth_key": use})
        assert (a.status, a.code) == (400, "auth_key_not_setup"), "ignored: always on"
    key = key_call(box, "POST", "auth-key").json["auth_key"]
    p = box.placed(["ee.example"], csr_text(), **ee, top={"use_auth_key": False})
    assert set(p) == {"id", "certificate_id", "dcv_random_value"}, "no token there: the ordinary way"
    web.put("ee.example", request_token(key, csr_text(), time.time() - 60))
    assert "certificate_chain" in box.placed(["ee.example"], csr_text(), **ee, top={"use_auth_key": False})
    assert box.order(["*.ee.example"], **ee, top={"dcv_method": "dns-txt-token"}).code == "invalid_field|certificate.common_name"


def spellings(csr):
    lines = csr.strip().split("\n")
    return {
        "lf": "\n".join(lines) + "\n", "lf-nofinal": "\n".join(lines), "crlf": "\r\n".join(lines) + "\r\n",
        "oneline": "".join(lines), "body": "".join(lines[1:-1]),
    }  # fmt: skip


def test_csr_spelling(keyed, web):
    """Whatever is posted, the token is made over the spelling that the CA keeps; all five at once always do."""
    box = keyed
    key = key_call(box, "POST", "auth-key").json["auth_key"]
    texts = spellings(csr_text())
    tokens = {how: request_token(key, text, time.time() - 60) for how, text in texts.items()}
    assert len(set(tokens.values())) == 5
    for how in texts:
        box.admin("POST", "settings", {"csr_spelling": how})
        for posted in ("lf", "crlf", "oneline"):
            web.put("sp.example", "\n".join(t for h, t in tokens.items() if h != how))
            assert "dcv_random_value" in box.placed(["sp.example"], texts[posted], top={"use_auth_key": True}), how
            web.put("sp.example", tokens[how])
            assert "certificate_chain" in box.placed(["sp.example"], texts[posted], top={"use_auth_key": True}), how
    box.admin("POST", "settings", {"csr_spelling": "posted"})
    web.put("sp.example", "\n".join(tokens.values()))
    for posted in ("lf", "lf-nofinal", "crlf", "oneline"):
        assert "certificate_chain" in box.placed(["sp.example"], texts[posted], top={"use_auth_key": True})


def test_instant_reissue(keyed, web):
    box = keyed
    key = key_call(box, "POST", "auth-key").json["auth_key"]
    p = issued(box, ["ir.example"], csr_text("ec2"))
    top = {"use_auth_key": True}
    assert reissue(box, p["id"], ["ir.example"], csr_text(), top=top).code == "unknown_field|use_auth_key"
    assert reissue(box, p["id"], ["ir.example"], csr_text(), top={"auth_key_id": "x"}).code == "unknown_field|auth_key_id"
    box.admin("POST", "settings", {"instant_reissue": "yes"})
    assert reissue(box, p["id"], ["ir.example"], csr_text(), top={"auth_key_id": "x"}).code == "invalid_field|auth_key_id"
    assert duplicate(box, p["id"], ["ir.example"], csr_text(), top=top).code == "unknown_field|use_auth_key"
    web.put("ir.example", request_token(key, csr_text(), time.time() - 60))
    for said in ({}, {"use_auth_key": False}):
        a = reissue(box, p["id"], ["ir.example"], csr_text(), top=said)
        assert set(a.json) == {"id", "certificate_id", "dcv_random_value"}
        assert cancel(box, p["id"]).status == 204
    a = reissue(box, p["id"], ["ir.example", "more.ir.example"], csr_text(), top=top)
    assert "dcv_random_value" in a.json and cancel(box, p["id"]).status == 204, "every name"
    a = reissue(box, p["id"], ["ir.example"], csr_text(), top=top)
    assert a.status == 201 and set(a.json) == {"id", "certificate_id", "certificate_chain"} and a.json["id"] == p["id"]
    assert same_key(split_pem(a.json["certificate_chain"][0]["pem"])[0], "ec")
    info = box.info(p["id"]).json
    assert info["status"] == "issued" and info["certificate"]["id"] == a.json["certificate_id"] != p["certificate_id"]


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
        self.stray = None  # (owner, TXT) that every answer has too
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
        count = len(found) + (self.stray is not None)
        head = query[:2] + struct.pack(">HHHHH", 0x8500 if exists else 0x8503, 1, count, 0, 0)
        body = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", k, 1, 1, len(self.data(k, v))) + self.data(k, v) for k, v in found
        )
        if self.stray:
            owner, text = self.wire(self.stray[0]), self.data(16, self.stray[1])
            body += owner + struct.pack(">HHIH", 16, 1, 1, len(text)) + text
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
    p = box.placed(["stray.example"], top=TXT)
    names.add("_dnsauth.stray.example", "CNAME", "target.example.net")
    names.stray = ("elsewhere.example.net", p["dcv_random_value"])
    assert check_status(box, p["id"]) == "pending", "a record of another name in the answer is no proof"
    names.stray = ("target.example.net", p["dcv_random_value"])
    assert check_status(box, p["id"]) == "issued", "the server followed the CNAME itself"
    names.stray = None
    p = box.placed(["long.example"], top=TXT)
    for i in range(9):
        names.add("_dnsauth.long.example" if i == 0 else f"l{i}.example.net", "CNAME", f"l{i + 1}.example.net")
    names.add("l9.example.net", "TXT", p["dcv_random_value"])
    assert check_status(box, p["id"]) == "pending", "eight are followed"
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
    for bad in ("127.0.0.1", "localhost:53", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:53,127.0.0.2:53", "::1:53"):
        r = run("--dir", tmp_path / "x", "--dns", bad)
        assert r.returncode == 64 and "ADDR:PORT" in r.stderr, bad
