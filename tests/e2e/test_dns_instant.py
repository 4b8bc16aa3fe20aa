# SPDX-License-Identifier: Apache-2.0
"""Instant issuance by request tokens in TXT records: what stands when the order is posted, and what is asked afterwards."""

import re

import pytest
from lib import base
from lib.dnsworld import world  # noqa: F401 - takes the place of conftest's
from lib.nameserver import SECONDARY

NAME = "www.example.jp"
PLACE = f"_dnsauth.{NAME}"
INSTANT = {"instant_issuance": True}
TOKEN = re.compile(r"20\d{12}[0-9a-z]{50}$")


def asked(world):
    """Polls for status changes are nobody's business here."""
    return {k: v for k, v in world.sandbox.counts().items() if v and k not in ("changes", "n_requests")}


@pytest.mark.parametrize("label", ["_dnsauth", "@"])
@pytest.mark.parametrize("world", ["knot", "bind"], indirect=True)
def test_one_post(world, label):
    names = ["example.jp", "*.example.jp", NAME]
    places = [n if label == "@" else f"_dnsauth.{n}" for n in ("example.jp", NAME)]
    world.add(*[(p, "TXT", "of somebody else") for p in places])
    world.start_ca()
    key = world.auth_key()
    world.sandbox.fault("order", "delay", delay_ms=800)
    d = world.make_daemon(world.entry(*names, label=label), certcentral=INSTANT).start()
    base.until(lambda: world.sandbox.faults_hit("order"), 30, every=0.02, why="the order is under way")
    seen = world.added()
    assert sorted(r[:2] for r in seen) == sorted((p, "TXT") for p in places for _ in range(5))
    assert all(TOKEN.match(r[2]) for r in seen) and len({r[2] for r in seen}) == 5
    # Every server shows them before the order is posted.
    for place in places:
        assert set(world.dns.values(place, server=SECONDARY)) >= {r[2] for r in seen if r[0] == place}
    assert len(world.proofs(d, "example.jp")) == 10
    world.assert_done(d, "example.jp", names=names)
    assert asked(world) == {"order": 1, "authkey": 1}
    (order,) = world.sandbox.orders()
    assert order["validated"] and order["dcv_method"] == "dns-txt-token"
    assert key not in d.log() and key not in (d.state_dir / "state" / "example.jp.json").read_text()


@pytest.mark.parametrize("spelling", ["posted", "lf", "lf-nofinal", "crlf", "oneline", "body"])
def test_every_spelling_of_the_request(world, spelling):
    world.start_ca("--set", f"csr_spelling={spelling}")
    world.auth_key()
    d = world.make_daemon(world.entry(NAME), certcentral=INSTANT).start()
    world.assert_done(d, NAME)
    assert asked(world) == {"order": 1, "authkey": 1}


def test_renewal_asks_no_more_for_the_key(world):
    world.start_ca()
    world.auth_key()
    d = world.make_daemon(world.entry(NAME), certcentral=INSTANT).start()
    world.assert_done(d, NAME)
    world.sandbox.forget_requests()
    d.config["domains"].append(world.entry("mail.example.jp"))
    d.write_config()
    d.reload()
    world.assert_done(d, "mail.example.jp")
    assert asked(world)["order"] == 1 and set(asked(world)) <= {"order", "authkey"}


def test_no_post_before_all_servers_show_it(world):
    world.dns.wait_in_sync()
    world.dns.freeze()
    world.start_ca()
    world.auth_key()
    d = world.make_daemon(world.entry(NAME), certcentral=INSTANT).start()
    shown = d.wait_error(NAME, r"ns2\.example\.jp \(127\.0\.0\.3:53\)")
    assert shown["phase"] == "prepare" and shown["state"] == "retrying"
    assert asked(world) == {"authkey": 1}
    world.dns.thaw()
    world.assert_done(d, NAME)
    assert asked(world) == {"order": 1, "authkey": 1}


@pytest.mark.parametrize("world", ["knot", "bind"], indirect=True)
def test_clock_that_is_ahead(world):
    """The CA takes no token of the future: the order is an ordinary one then, and goes on; nothing is bought twice."""
    world.start_ca()
    world.sandbox.clock(offset_s=-3600)
    world.auth_key()
    world.hold_check()
    d = world.make_daemon(world.entry(NAME), certcentral=INSTANT).start()
    world.while_checked()
    base.until(lambda: world.added() == [(PLACE, "TXT", world.token(NAME))], why="the tokens are gone, the value stands")
    d.wait(NAME)
    assert asked(world)["order"] == 1
    world.assert_done(d, NAME)


@pytest.mark.parametrize("why", ["no key", "not allowed", "unknown id"])
def test_no_key_is_no_reason_to_stop(world, why):
    world.start_ca(*(["--set", "key_scope=orders"] if why == "not allowed" else []))
    more = {}
    if why == "unknown id":
        world.auth_key()
        more = {"auth_key_id": "nobody"}
    d = world.make_daemon(world.entry(NAME), certcentral={**INSTANT, **more}).start()
    world.assert_done(d, NAME)
    assert asked(world)["order"] == 1
    assert "no instant issuance, the ordinary way is taken" in d.log()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["none", "lf", "crlf"])
def test_key_from_a_file(world, end):
    world.start_ca()
    key = world.auth_key()
    d = world.make_daemon(world.entry(NAME), certcentral={**INSTANT, "auth_key_file": "auth-key"})
    d.write_secret("auth-key", key + end)
    d.start()
    world.assert_done(d, NAME)
    assert asked(world) == {"order": 1}


def test_key_of_two_lines(world):
    world.start_ca()
    key = world.auth_key()
    d = world.make_daemon(world.entry(NAME), certcentral={**INSTANT, "auth_key_file": "auth-key"})
    d.write_secret("auth-key", f"{key[:8]}\n{key[8:]}\n")
    code, said = d.check()
    assert code == 78 and re.search(r"dvcertd\.yaml:\d+:\d+: certcentral\.auth_key_file: .*line", said), said
    assert key[:8] not in said and key[8:] not in said
    assert d.run_to_end()[0] == 78


def test_old_key_of_an_account_that_has_another_now(world):
    """The file is out of date: the CA takes none of the tokens, and the order goes on as an ordinary one."""
    world.start_ca()
    world.auth_key()
    d = world.make_daemon(world.entry(NAME), certcentral={**INSTANT, "auth_key_file": "auth-key"})
    d.write_secret("auth-key", "0123456789abcdef0123456789abcdef\n")
    d.start()
    world.assert_done(d, NAME)
    assert asked(world)["order"] == 1 and asked(world)["check"] >= 1
