# SPDX-License-Identifier: Apache-2.0
"""PowerDNS where it differs from Knot and BIND: dynamic updates are off at first, a wrong key is not named, what its policy leaves out is
answered with NOERROR, a CNAME beside other records is refused aloud, and answers come from three caches. What it has in common with the
others is in test_dns.py and test_dns_errors.py."""

import re

import pytest
from lib import base, nameserver
from lib.dnsworld import needs_faketime, world  # noqa: F401 - takes the place of conftest's
from lib.nameserver import ADMIN, DAEMON, PRIMARY

NAME = "www.example.jp"
PLACE = f"_dnsauth.{NAME}"
CONTRIB = base.ROOT / "contrib" / "dns" / "README.md"


def policy():
    """The script that the documentation gives, for our names."""
    (text,) = re.findall(r"```lua\n(.*?)```", CONTRIB.read_text(), re.DOTALL)
    assert '"dvcertd."' in text
    return text.replace('"dvcertd."', f'"{DAEMON[0]}."').replace("return false", f'return input:getTsigName():toString() == "{ADMIN[0]}."')


as_usual = pytest.mark.parametrize("world", ["pdns"], indirect=True)


# --- keys and clocks ---


@as_usual
@pytest.mark.parametrize(
    "old, new, zone, said",
    [
        (DAEMON[1], ADMIN[1], {}, r"NOTAUTH.*key dvcertd\.keys: it does not accept the key .*compare name, algorithm, secret"),
        (DAEMON[0], "unknown.keys", {}, r"NOTAUTH.*key unknown\.keys: it does not accept the key"),
        # Here nothing is asked before the update.
        (DAEMON[1], ADMIN[1], {"zone": "example.jp"}, r"REFUSED.*zone example\.jp, add _dnsauth\.www.*the key is wrong"),
    ],
    ids=["secret", "name", "secret-zone-given"],
)
def test_wrong_key(world, old, new, zone, said):
    world.start_ca()
    d = world.make_daemon(world.entry(NAME), providers={"corp": world.provider(**zone)})
    good = world.dns.tsig_file()
    d.write_secret("corp.tsig", good.replace(old, new))
    d.start()
    shown = d.wait_error(NAME, said)
    assert shown["state"] == "retrying" and "DNS provider corp" in shown["error"]["message"]
    assert PRIMARY in shown["error"]["message"] and "not signed" in shown["error"]["message"]
    assert world.added() == [] and world.sandbox.counts()["check"] == 0
    d.write_secret("corp.tsig", good)
    d.reload()
    world.assert_done(d, NAME)
    assert len(world.sandbox.orders()) == 1


@as_usual
@needs_faketime
def test_wrong_clock(world):
    """It does not tell its time, so the clocks are one of the things to compare."""
    world.start_ca()
    d = world.make_daemon(world.entry(NAME))
    world.with_clock(d, -3600)
    d.start()
    d.wait_error(NAME, r"NOTAUTH.*both clocks")
    assert world.added() == []
    world.set_clock(0)
    world.assert_done(d, NAME)


# --- what is not allowed ---

CLOSED = {
    "dnsupdate-off": {"more": ""},
    "key": {"metadata": {"TSIG-ALLOW-DNSUPDATE": [ADMIN[0]]}},
}


@pytest.mark.parametrize("world", [{"primary": "pdns", "pdns": s} for s in CLOSED.values()], indirect=True, ids=CLOSED)
def test_updates_not_allowed(world):
    """One answer for all of it. It goes on by itself when the server has been set right."""
    world.start_ca(ca_poll="0s")
    d = world.make_daemon(world.entry(NAME)).start()
    shown = d.wait_error(NAME, r"REFUSED.*zone example\.jp, add _dnsauth\.www.*dnsupdate is off, TSIG-ALLOW-DNSUPDATE lacks the key")
    assert shown["state"] == "retrying" and shown["next"]["action"] == "publish" and shown["next"]["at"]
    assert world.added() == [] and world.sandbox.counts()["check"] == 0
    world.dns.primary.stop()
    world.dns.primary.configure()
    world.dns.primary.start()
    world.assert_done(d, NAME)
    assert len(world.sandbox.orders()) == 1


@as_usual
def test_unknown_zone(world):
    world.start_ca()
    d = world.make_daemon(world.entry("www.example.org")).start()
    shown = d.wait_error("www.example.org", r"no-zone.*127\.0\.0\.2.*_dnsauth\.www\.example\.org.*correct the server, or name the zone")
    assert shown["state"] == "retrying"
    assert world.added() == [] and world.sandbox.counts()["check"] == 0


@as_usual
def test_policy_of_the_documentation(world):
    """The key may change proofs only. What the script leaves out is answered with NOERROR: our own look finds that nothing is there."""
    server = world.dns.primary
    script = server.dir / "policy.lua"
    script.write_text(policy())
    server.stop()
    server.configure(more=f"{server.MORE}\nlua-dnsupdate-policy-script={script}")
    server.start()
    assert world.dns.change(NAME, "A", "127.0.0.1", 60, key=DAEMON) == "NOERROR"
    assert world.dns.change(PLACE, "TXT", "v", 60, key=(DAEMON[0], ADMIN[1])) == "REFUSED"
    assert world.added() == []
    world.start_ca(ca_poll="0s")
    d = world.make_daemon(world.entry(NAME, label="@")).start()
    d.wait_error(NAME, r"nxdomain ns\d.example\.jp .*there is no name www\.example\.jp: the record .* is not written")
    assert world.added() == [] and world.sandbox.counts()["check"] == 0
    d.config["domains"] = [world.entry(NAME)]
    d.write_config()
    d.reload()
    world.assert_done(d, NAME)


@as_usual
def test_cname_beside_other_records(world):
    """The others drop it in silence; here the refusal says it."""
    world.add((PLACE, "TXT", "of somebody else"))
    world.start_ca()
    d = world.make_daemon(world.entry(NAME, method="dns-cname-token")).start()
    d.wait_error(NAME, r"REFUSED.*a CNAME would stand beside other records")
    assert world.added() == [] and world.sandbox.counts()["check"] == 0
    world.dns.remove(PLACE, "TXT")
    world.before = world.zones()
    world.assert_done(d, NAME)


# --- caches ---


@as_usual
def test_caches_do_not_hide_the_proof(world):
    """Somebody asked just before, and "there is none" is kept for a minute: an update empties what concerns it."""
    for server in (PRIMARY, nameserver.SECONDARY):
        assert world.dns.values(PLACE, server=server) == []
        assert world.dns.query("example.jp", "SOA", server=server).rcode == "NOERROR"
    world.start_ca()
    d = world.make_daemon(world.entry(NAME), preflight={"dns": f"{PRIMARY}:53"}).start()
    world.assert_done(d, NAME)
    assert "proof-not-visible" not in d.log() and world.sandbox.counts()["check"] == 1
    assert world.dns.values(PLACE, server=PRIMARY) == []
