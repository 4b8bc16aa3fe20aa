# SPDX-License-Identifier: Apache-2.0
"""Proofs in DNS when something is wrong: keys, clocks, servers, and configurations that change under an order."""

import re

import pytest
from lib import base, nameserver
from lib.dnsworld import needs_faketime, world  # noqa: F401 - takes the place of conftest's
from lib.nameserver import PRIMARY, RESOLVER

NAME = "www.example.jp"
PLACE = f"_dnsauth.{NAME}"
PROOF = ".well-known/pki-validation/fileauth.txt"
both = pytest.mark.parametrize("world", ["knot", "bind"], indirect=True)


def reload(d, **changes):
    d.config.update(changes)
    d.write_config()
    d.reload()


# --- keys, clocks, servers ---


@both
@pytest.mark.parametrize(
    "old, new, said",
    [
        (nameserver.DAEMON[1], nameserver.ADMIN[1], r"BADSIG.*copy the key again"),
        (nameserver.DAEMON[0], "unknown.keys", r"BADKEY.*key unknown\.keys.*does not know the key"),
        ("hmac-sha256", "hmac-sha512", r"BADSIG|BADKEY"),
    ],
    ids=["secret", "name", "algorithm"],
)
def test_wrong_key(world, old, new, said):
    """The right key in the same file, and a reload: it goes on at once, with the same order."""
    world.start_ca()
    d = world.make_daemon(world.entry(NAME))
    good = world.dns.tsig_file()
    d.write_secret("corp.tsig", good.replace(old, new))
    d.start()
    shown = d.wait_error(NAME, said)
    assert shown["state"] == "retrying" and "DNS provider corp" in shown["error"]["message"]
    assert "zone" in shown["error"]["message"] and PRIMARY in shown["error"]["message"]
    assert new not in d.log() or new != nameserver.ADMIN[1]
    assert world.added() == []
    d.write_secret("corp.tsig", good)
    reload(d)
    world.assert_done(d, NAME)


@both
@needs_faketime
@pytest.mark.parametrize("offset, said", [(-3600, r"ahead of ours"), (5400, r"behind ours")])
def test_wrong_clock(world, offset, said):
    world.start_ca()
    d = world.make_daemon(world.entry(NAME))
    world.with_clock(d, offset)
    d.start()
    shown = d.wait_error(NAME, rf"BADTIME.*server's clock is .* {said}; set both by NTP")
    assert re.search(r"clock is (1h|60m|1 hour|59m)" if offset < 0 else r"clock is (1h ?30m|90m|89m|1h ?29m)", shown["error"]["message"]), shown
    assert world.added() == []
    if offset > 0:
        return  # a pause that was begun in a time to come lasts until then, a day at most
    world.set_clock(0)
    world.assert_done(d, NAME)


@both
def test_server_that_is_gone(world):
    world.dns.primary.stop()
    world.start_ca()
    d = world.make_daemon(world.entry(NAME)).start()
    shown = d.wait_error(NAME, r"DNS provider corp.*127\.0\.0\.2")
    assert shown["state"] == "retrying" and shown["next"]["action"] == "publish" and shown["next"]["at"]
    world.dns.primary.start()
    world.assert_done(d, NAME)


@both
def test_server_goes_while_the_record_stands(world):
    """The certificate is installed all the same; the record is removed when the server is back, also after a restart."""
    d = world.run(world.entry(NAME), ca=["--issue-delay", "1h"])
    order = world.validated(NAME)
    world.dns.primary.stop()
    world.sandbox.set_order(order, action="issue")
    d.wait(NAME)
    base.until(lambda: "proof-not-removed" in d.log(), 30, why="the warning")
    d.restart()
    assert [p["name"] for p in world.proofs(d, NAME)] == [PLACE]
    assert d.status(NAME)["state"] == "valid"
    world.dns.primary.start()
    world.assert_clean(d, NAME, timeout=30)
    world.assert_good(d, NAME)


@pytest.mark.parametrize(
    "more, said",
    [
        ({"server": RESOLVER}, r"127\.0\.0\.53.*(no zone|delegated to other servers)"),
        ({"server": RESOLVER, "zone": "example.jp"}, r"(REFUSED|NOTAUTH|NOTIMP).*127\.0\.0\.53, zone example\.jp, add _dnsauth"),
        ({"zone": "example.net"}, r"_dnsauth\.www\.example\.jp is not within zone example\.net; correct the provider's zone"),
        ({"zone": "jp"}, r"(NOTAUTH|REFUSED).*127\.0\.0\.2, zone jp, add _dnsauth.*(not the primary server|rules)"),
    ],
    ids=["resolver", "resolver-with-zone", "wrong-zone", "zone-above"],
)
@both
def test_server_that_refuses(world, more, said):
    world.start_ca()
    d = world.make_daemon(world.entry(NAME), providers={"corp": world.provider(**more)}).start()
    shown = d.wait_error(NAME, said)
    assert shown["state"] == "retrying" and "DNS provider corp" in shown["error"]["message"]
    assert world.added() == [] and world.sandbox.counts()["check"] == 0
    reload(d, dns_providers={"corp": world.provider()})
    d.wait(NAME)
    assert len(world.sandbox.orders()) == 1


# --- reloads ---


def test_provider_goes_and_comes_back(world):
    """A record whose provider has left the YAML is named with the remedy; what others put up meanwhile is still removed."""
    world.start_web()
    d = world.run(world.entry(NAME), ca=["--issue-delay", "1h"])
    order = world.validated(NAME)
    token = world.token(NAME)
    providers = d.config["dns_providers"]
    reload(d, dns_providers={"other": world.provider()}, domains=[world.entry(NAME, provider="other")])
    world.sandbox.set_order(order, action="issue")
    d.wait(NAME)
    base.until(lambda: "put it back, or remove" in d.log(), 30, why="the warning")
    (warning, *_) = [line for line in d.log().split("\n") if "put it back, or remove" in line]
    assert 'dns_providers has no "corp" any more' in warning and PLACE in warning and token in warning
    assert "warning" in warning
    assert [p["where"] for p in world.proofs(d, NAME)] == ["corp"]
    # The next certificate is not kept from cleaning up by it.
    world.sandbox.settings(issue_delay_s=0)
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: d.status(NAME)["generation"] == 2, 60, why="generation 2")
    d.wait(NAME)
    base.until(lambda: {p["where"] for p in world.proofs(d, NAME)} == {"corp"}, 30, why="its own record is removed")
    reload(d, dns_providers={**providers, "other": world.provider()})
    world.assert_clean(d, NAME, timeout=40)


def test_provider_changed_in_mid_issuance(world):
    """From one that does not work to one that does: the same order, at once."""
    world.start_ca()
    d = world.make_daemon(world.entry(NAME), providers={"corp": world.provider(server="127.0.0.99")}).start()
    d.wait_error(NAME, r"127\.0\.0\.99")
    reload(d, dns_providers={"new": world.provider()}, domains=[world.entry(NAME, provider="new")])
    d.wait(NAME)
    # Nobody can know whether the silent server took what was sent.
    base.until(lambda: {p["where"] for p in world.proofs(d, NAME)} == {"corp"}, 30, why="what the new one wrote is removed")
    assert world.added() == []
    world.assert_good(d, NAME)


def test_server_of_a_provider_changed_in_mid_issuance(world):
    world.start_ca()
    d = world.make_daemon(world.entry(NAME), providers={"corp": world.provider(server="127.0.0.99")}).start()
    d.wait_error(NAME, r"127\.0\.0\.99")
    reload(d, dns_providers={"corp": world.provider()})
    world.assert_done(d, NAME)


def test_from_file_to_dns(world):
    """The web server serves another folder; TXT instead: the CA is told, the file goes, the same order is issued."""
    world.start_web()
    world.start_ca(ca_poll="0s")
    webroot = world.web.webroot("elsewhere")
    d = world.make_daemon(
        {"name": NAME, "dcv": {"method": "http-token", "webroot": str(webroot)}}, preflight={"http": "off"}
    ).start()
    base.until(lambda: (webroot / PROOF).exists(), why="the file")
    d.wait_error(NAME, "not_validated")
    first = world.token(NAME)
    world.hold_check()
    reload(d, domains=[world.entry(NAME)])
    base.until(lambda: world.sandbox.requests("method"), why="PUT dcv-method")
    assert world.while_checked() == [(PLACE, "TXT", world.token(NAME))] and world.token(NAME) != first
    base.until(lambda: not (webroot / PROOF).exists(), why="the file is gone")
    world.assert_done(d, NAME)
    assert world.sandbox.counts()["method"] == 1
    assert [r["status"] for r in world.sandbox.requests("method")] == [200]


def test_from_dns_to_file(world):
    world.start_web()
    world.start_ca(ca_poll="0s")
    world.dns.wait_in_sync()
    world.dns.freeze()
    d = world.make_daemon(world.entry(NAME)).start()
    d.wait_error(NAME, "ns2")
    assert len(world.added()) == 1
    webroot = world.web.webroot(NAME)
    reload(d, domains=[{"name": NAME, "dcv": {"method": "http-token", "webroot": str(webroot)}}])
    world.assert_done(d, NAME)
    assert world.sandbox.counts()["method"] == 1
    base.until(lambda: not (webroot / PROOF).exists(), why="the file is gone")
    world.dns.thaw()


@pytest.mark.parametrize(
    "world, way", [(w, x) for x in ("txt-to-cname", "cname-to-txt") for w in ("knot", "bind")] + [("pdns", "cname-to-txt")],
    indirect=["world"],
)  # fmt: skip
def test_from_record_to_record(world, way):
    """Both stand at one name, where a server keeps no CNAME beside a TXT record: the old one goes first."""
    methods = ["dns-txt-token", "dns-cname-token"]
    if way == "cname-to-txt":
        methods.reverse()
    world.start_ca(ca_poll="0s")
    world.sandbox.fault("check", "delay", delay_ms=60000)
    d = world.make_daemon(world.entry(NAME, method=methods[0])).start()
    assert len(world.while_checked()) == 1
    reload(d, domains=[world.entry(NAME, method=methods[1])])
    world.assert_done(d, NAME)
    assert world.sandbox.counts()["method"] == 1
    # What the new one needs was not looked for in vain, and nothing was sought where our own CNAME led.
    assert "no-zone" not in d.log() and "is left alone" not in d.log() and "proof-not-accepted" not in d.log()
