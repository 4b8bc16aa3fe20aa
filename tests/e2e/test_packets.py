# SPDX-License-Identifier: Apache-2.0
"""Packets that are lost for real (lib/badline.py): between daemon, CA, web server, name servers, Scutum and the servers that are looked at.
The test itself asks the CA only while the line is good; dvcertctl speaks through a unix socket."""

import itertools
import time

import pytest
from lib import badline, base, netns
from lib.dnsworld import FAKETIME, needs_faketime, world  # noqa: F401 - takes the place of conftest's
from lib.nameserver import RESOLVER
from lib.sandbox import assert_one_order
from test_verify import Server

FILE, RESPONDER, DNS = "file.example.jp", "responder.example.jp", "dns.example.jp"
NAME = "www.example.jp"


@pytest.fixture
def servers():
    made = {}

    def make(d, *names):
        """A TLS server for each, which serves what is live."""
        for name in names:
            made[name] = Server().serves(d.live(name)).start()
        return made

    yield make
    for s in made.values():
        s.stop()


def unable(e):
    pytest.skip(f"no bad line here: {e}")


def start_web(world, responder):
    """A proof comes from the webroot when it is there, else from the responder."""
    world.start_web(responder)
    conf = world.web.dir / "nginx.conf"
    conf.write_text(conf.read_text().replace("proxy_pass", "try_files $uri @responder; }\nlocation @responder { proxy_pass"))
    world.web.stop()
    world.web.start()


def test_bad_line(world, servers):
    """All ways of proof, and two kinds of target: it takes longer, and nothing else."""
    responder = world.ports.take()
    start_web(world, responder)
    world.start_ca("--rate", "off", ca_poll="1s", dns=RESOLVER)
    d = world.make_daemon(
        world.domain(FILE),
        world.domain(RESPONDER, dcv={"method": "http-token", "responder": True}),
        world.domain(DNS, dcv={"method": "dns-txt-token", "provider": "corp"}),
        responder={"listen": f"127.0.0.1:{responder}"},
    )
    names = [FILE, RESPONDER, DNS]
    tls = servers(d, *names)
    for entry in d.config["domains"]:
        entry["deploy"].append(tls[entry["name"]].target())
    d.write_config()
    began = time.monotonic()
    try:
        with badline.bad() as counts:
            d.start()
            d.wait(*names, timeout=90)
            lost, doubled = counts()
    except netns.Unable as e:
        unable(e)
    print(f"\n{time.monotonic() - began:.1f} s; {lost} packets lost, {doubled} doubled")
    assert lost > 20 and doubled > 5
    for name in names:
        world.assert_good(d, name)
        assert [t["state"] for t in d.status(name)["deploy"]] == ["done", "done"]
    assert len(world.sandbox.orders()) == len(names)
    world.assert_clean(d, *names, timeout=30)


def in_the_post(world, d):
    """Starts the daemon; back when the CA has its order, and thinks about the answer."""
    world.sandbox.fault("order", "delay", delay_ms=2500)
    d.start()
    base.until(lambda: world.sandbox.requests("order"), 20, every=0.02, why="the post has arrived")


def port_of(world):
    return int(world.sandbox.listen.split(":")[1])


def test_answer_that_comes_after_a_while(world):
    """TCP sends it again when the hole is closed: one post, and nothing is looked for."""
    d = world.simple(NAME)
    in_the_post(world, d)
    try:
        with badline.hole(port_of(world)) as lost:
            base.until(lambda: lost() >= 3, 30, why="the answer and its repetitions are lost")
            assert not d.status(NAME)["order_id"] and d.status(NAME)["error"] is None
    except netns.Unable as e:
        unable(e)
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert (world.sandbox.counts()["order"], world.sandbox.counts()["find"]) == (1, 0)


@needs_faketime
def test_answer_that_never_comes(world):
    """The daemon waits its minute, and cannot ask either what became of the order. The clocks jump over the waiting."""
    d = world.simple(NAME)
    clock = world.dir / "offset"
    d.env = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    world.set_clock(0)
    in_the_post(world, d)
    try:
        with badline.hole(port_of(world)) as lost:
            base.until(lost, 30, why="the answer is lost")
            passed = itertools.count(11, 11)

            def has_given_up(n):
                world.set_clock(next(passed))
                return (d.status(NAME)["error"] or {"attempts": 0})["attempts"] >= n

            base.until(lambda: has_given_up(1), 30, every=0.1, why="the post has timed out")
            base.until(lambda: has_given_up(2), 30, every=0.1, why="so has the question for the order")
            shown = d.status(NAME)
            assert shown["state"] == "retrying" and shown["phase"] == "resolve" and not shown["order_id"], shown
    except netns.Unable as e:
        unable(e)
    d.wait(NAME)
    world.assert_good(d, NAME)
    counts = world.sandbox.counts()
    assert counts["order"] == 1 and counts["find"] >= 1, counts
    assert "EVENT=order-adopted" in d.log() and "EVENT=order-absent" not in d.log()
    assert_one_order(world.sandbox, NAME)
