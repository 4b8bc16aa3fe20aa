# SPDX-License-Identifier: Apache-2.0
"""Proofs in DNS, from the YAML to the certificate: real name servers, dynamic updates, delegations, many at once."""

import re

import pytest
from lib import base
from lib.dnsworld import world  # noqa: F401 - takes the place of conftest's
from lib.nameserver import CHILD, NET, PRIMARY, RESOLVER

NAME = "www.example.jp"
PLACE = f"_dnsauth.{NAME}"
both = pytest.mark.parametrize("world", ["knot", "bind"], indirect=True)
TWENTY = [f"n{i:02}.example.jp" for i in range(20)]

# names of the order, its dcv, the provider, places
CASES = {
    "one": ([NAME], {}, {}, [PLACE]),
    "zone-given": ([NAME], {}, {"zone": "example.jp", "ttl": "90s"}, [PLACE]),
    "deep": (["a.b.c.example.jp"], {}, {"server": f"{PRIMARY}:53"}, ["_dnsauth.a.b.c.example.jp"]),
    "apex": (["example.jp"], {}, {}, ["_dnsauth.example.jp"]),
    "wildcard": (["example.jp", "*.example.jp"], {}, {}, ["_dnsauth.example.jp"]),
    "twenty": (TWENTY, {}, {}, [f"_dnsauth.{n}" for n in TWENTY]),
    "at": (["example.jp", "*.example.jp", NAME], {"label": "@"}, {}, ["example.jp", NAME]),
    "sub": (["x.sub.example.jp"], {}, {"server": CHILD}, ["_dnsauth.x.sub.example.jp"]),
    "cname": (["example.jp", "*.example.jp", NAME], {"method": "dns-cname-token"}, {}, ["_dnsauth.example.jp", PLACE]),
}
# Every case on two servers, and on the third one of each type.
ISSUED = [(w, c) for c in CASES for w in ("knot", "bind")] + [("pdns", "at"), ("pdns", "cname")]


@pytest.mark.parametrize("world, case", ISSUED, indirect=["world"])
def test_issued(world, case):
    names, dcv, provider, places = CASES[case]
    cname = "method" in dcv
    if not cname:
        world.add(*[(p, "TXT", "of somebody else") for p in places], (places[0], "TXT", "a" * 300))
    world.start_ca(dns=RESOLVER if case == "sub" else PRIMARY)
    world.hold_check()
    d = world.make_daemon(world.entry(*names, **dcv), providers={"corp": world.provider(**provider)}).start()
    seen = world.while_checked()
    token = world.token(names[0])
    if cname:
        assert seen == sorted((p, "CNAME", f"{token}.dcv.digicert.com") for p in places)
    else:
        assert seen == sorted((p, "TXT", token) for p in places)
    proofs = world.proofs(d, names[0])
    assert sorted((p["name"], p["value"]) for p in proofs) == [(r[0], r[2]) for r in seen]
    assert {p["where"] for p in proofs} == {"corp"}
    world.assert_done(d, names[0], names=names)
    assert {k: v for k, v in world.sandbox.counts().items() if k in ("order", "find", "method", "token")} == {
        "order": 1, "find": 0, "method": 0, "token": 0,
    }  # fmt: skip
    assert world.sandbox.orders()[0]["dcv_method"] == ("dns-cname-token" if cname else "dns-txt-token")


@both
@pytest.mark.parametrize("ttl, seconds", [({}, 60), ({"ttl": "90s"}, 90)])
def test_ttl(world, ttl, seconds):
    world.start_ca()
    world.hold_check()
    d = world.make_daemon(world.entry(NAME), providers={"corp": world.provider(**ttl)}).start()
    world.while_checked()
    (record,) = world.dns.query(PLACE, server=PRIMARY).records
    assert record.ttl == seconds
    world.assert_done(d, NAME)


def test_renewal_has_records_of_its_own(world):
    d = world.run(world.entry(NAME))
    world.assert_done(d, NAME)
    first = world.token(NAME)
    world.sandbox.forget_requests()
    world.hold_check()
    assert d.ctl("renew", NAME).code == 0
    seen = world.while_checked()
    assert [r[:2] for r in seen] == [(PLACE, "TXT")] and seen[0][2] != first
    base.until(lambda: d.status(NAME)["generation"] == 2, 60, why="generation 2")
    d.wait(NAME)
    world.assert_clean(d, NAME)


# --- servers that differ ---


def test_secondary_that_lags(world):
    """The CA is not asked before every server shows the value; which one does not is said in status and log."""
    world.dns.wait_in_sync()
    world.dns.freeze()
    world.start_ca(ca_poll="0s")
    d = world.make_daemon(world.entry(NAME)).start()
    shown = d.wait_error(NAME, r"ns2\.example\.jp \(127\.0\.0\.3:53\)")
    message = shown["error"]["message"]
    assert shown["state"] == "retrying" and shown["phase"] == "check" and shown["next"]["at"]
    assert PLACE in message and world.token(NAME)[:12] in message and "ns1." not in message
    base.until(lambda: d.log().count("ns2.example.jp (127.0.0.3:53)") >= 2, why="it looks again")
    people = d.ctl("status", NAME, as_json=False)
    assert "ns2.example.jp (127.0.0.3:53)" in d.ctl("show", NAME, as_json=False).out + people.out
    assert world.sandbox.counts()["check"] == 0
    assert world.added() == [(PLACE, "TXT", world.token(NAME))]
    world.dns.thaw()
    d.wait(NAME)
    # The last looks were good, so the CA needed to look once.
    assert world.sandbox.counts()["check"] == 1
    world.assert_done(d, NAME)


def test_a_look_delays_but_does_not_block(world):
    """After five looks the CA is asked all the same: it may see what we do not."""
    world.dns.wait_in_sync()
    world.dns.freeze()
    world.start_ca(ca_poll="0s")
    d = world.make_daemon(world.entry(NAME)).start()
    d.wait(NAME, timeout=60)
    assert d.log().count("proof-not-visible") + d.log().count("ns2.example.jp (127.0.0.3:53)") >= 5
    world.dns.thaw()
    world.assert_done(d, NAME)


@pytest.mark.parametrize("look", ["off", f"{PRIMARY}:53"])
def test_told_where_to_look(world, look):
    """With preflight.dns the lag of the secondary is nobody's business."""
    world.dns.wait_in_sync()
    world.dns.freeze()
    d = world.run(world.entry(NAME), preflight={"dns": look})
    world.assert_done(d, NAME)
    assert "ns2" not in d.log()
    world.dns.thaw()


def test_secondary_that_is_gone(world):
    world.dns.secondary.stop()
    world.start_ca(ca_poll="0s")
    d = world.make_daemon(world.entry(NAME)).start()
    d.wait_error(NAME, r"ns2\.example\.jp.*127\.0\.0\.3:53")
    assert world.sandbox.counts()["check"] == 0
    world.dns.secondary.start()
    world.dns.catch_up()
    world.assert_done(d, NAME)


# --- delegation ---


@pytest.mark.parametrize("world", ["knot", "bind", "pdns"], indirect=True)
def test_delegated(world):
    target = f"something.{NET}"
    world.add(
        (PLACE, "CNAME", target),
        ("_dnsauth.mail.example.jp", "CNAME", "hop.example.jp"),
        ("hop.example.jp", "CNAME", f"else.{NET}"),
        (target, "TXT", "of somebody else"),
    )
    world.start_ca(dns=RESOLVER)
    world.hold_check()
    d = world.make_daemon(world.entry(NAME, "mail.example.jp", "x.example.jp")).start()
    seen = world.while_checked()
    token = world.token(NAME)
    assert seen == sorted([(target, "TXT", token), (f"else.{NET}", "TXT", token), ("_dnsauth.x.example.jp", "TXT", token)])
    world.assert_done(d, NAME, names=[NAME, "mail.example.jp", "x.example.jp"])


def test_delegated_to_one_name(world):
    world.add(*[(f"_dnsauth.{n}.example.jp", "CNAME", f"all.{NET}") for n in ("a", "b")])
    world.start_ca(dns=RESOLVER)
    world.hold_check()
    d = world.make_daemon(world.entry("a.example.jp", "b.example.jp")).start()
    assert world.while_checked() == [(f"all.{NET}", "TXT", world.token("a.example.jp"))]
    world.assert_done(d, "a.example.jp", names=["a.example.jp", "b.example.jp"])


@pytest.mark.parametrize("look", ["on", f"{RESOLVER}:53"])
def test_cname_loop(world, look):
    """Nothing is written, the text says what to mend, and mending is enough."""
    world.add(
        (PLACE, "CNAME", "a.example.jp"), ("a.example.jp", "CNAME", "b.example.jp"), ("b.example.jp", "CNAME", "a.example.jp")
    )
    world.start_ca(dns=RESOLVER)
    d = world.make_daemon(world.entry(NAME), preflight={"dns": look}).start()
    shown = d.wait_error(NAME, r"cname_loop.*CNAMEs.*correct the delegation")
    assert shown["state"] == "retrying" and shown["next"]["at"]
    assert NAME in shown["error"]["message"], "which name it is about"
    assert world.added() == [] and world.proofs(d, NAME) == [] and world.sandbox.counts()["check"] == 0
    world.dns.remove(PLACE, "CNAME")
    world.before = world.zones()
    world.assert_done(d, NAME)


@pytest.mark.parametrize(
    "target, zone, said",
    [
        ("x.elsewhere.test", {}, r"no-zone.*127\.0\.0\.2.*x\.elsewhere\.test.*correct the server"),
        ("x.sub.example.jp", {}, r"no-zone.*127\.0\.0\.2.*x\.sub\.example\.jp.*correct the server"),
        (f"x.{NET}", {"zone": "example.jp"}, rf"x\.{re.escape(NET)} is not within zone example\.jp; correct the provider's zone"),
    ],
    ids=["nowhere", "delegated", "other-zone"],
)
def test_delegated_to_where_we_cannot_write(world, target, zone, said):
    """Once the delegation is mended the rest goes by itself, and what was never written there is not cleaned for ever."""
    world.add((PLACE, "CNAME", target))
    world.start_ca(dns=RESOLVER, ca_poll="0s")
    d = world.make_daemon(world.entry(NAME), providers={"corp": world.provider(**zone)}).start()
    shown = d.wait_error(NAME, said)
    assert shown["state"] == "retrying" and "corp" in shown["error"]["message"]
    assert world.added() == [] and world.sandbox.counts()["check"] == 0
    world.dns.remove(PLACE, "CNAME")
    world.before = world.zones()
    world.assert_done(d, NAME)
    assert f"TXT record {target} is left alone, remove it yourself if it is there" in d.log()


def test_cname_of_a_proof_is_no_delegation(world):
    """Somebody proved the name by hand once, and left the record."""
    world.add((PLACE, "CNAME", "abc123.dcv.digicert.com"))
    d = world.run(world.entry(NAME), dns=RESOLVER)
    d.wait_error(NAME, rf"{PLACE}: a CNAME to abc123\.dcv\.digicert\.com .*remove it")
    assert world.proofs(d, NAME) == [] and world.sandbox.counts()["check"] == 0
    world.dns.remove(PLACE, "CNAME")
    world.before = world.zones()
    world.assert_done(d, NAME)


# --- many ---


def test_many_at_once(world):
    """Thirty orders; six of them for one name, whose values stand beside each other and go one by one."""
    same = [f"same{i}" for i in range(6)]
    names = [f"n{i:02}.example.jp" for i in range(24)]
    world.add(("_dnsauth.shop.example.jp", "TXT", "of somebody else"))
    world.start_ca("--rate", "off", "--issue-delay", "1h")
    d = world.make_daemon(
        *[world.entry(n) for n in names], *[world.entry("shop.example.jp", folder=f) for f in same]
    ).start()
    base.until(lambda: len([o for o in world.sandbox.orders() if o["validated"]]) == 30, 90, every=0.2, why="30 are validated")
    shop = world.sandbox.orders("shop.example.jp")
    values = {o["dcv_token"] for o in shop}
    assert len(world.sandbox.orders()) == 30 and len(values) == 6
    assert {r[2] for r in world.added() if r[0] == "_dnsauth.shop.example.jp"} == values
    assert len(world.added()) == 30
    for order in shop[:3]:
        world.sandbox.set_order(order["order_id"], action="issue")
        values.remove(order["dcv_token"])
        base.until(
            lambda v=values: {r[2] for r in world.added() if r[0] == "_dnsauth.shop.example.jp"} == v, 30,
            why="exactly the value of this order is gone",
        )  # fmt: skip
    world.sandbox.settings(issue_delay_s=0)
    for order in world.sandbox.orders():
        if order["status"] != "issued":
            world.sandbox.set_order(order["order_id"], action="issue")
    d.wait(*names, *same, timeout=90)
    world.assert_clean(d, *names, *same)
    assert len(world.sandbox.orders()) == 30
    for name in names[:3]:
        world.assert_good(d, name)
