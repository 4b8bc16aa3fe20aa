# SPDX-License-Identifier: Apache-2.0
"""The DNS of the other tests: real servers in a network of its own, and a daemon whose system resolver is there."""

import pathlib
import subprocess

import pytest
from conftest import need
from lib import base, nameserver, netns, webserver
from lib.nameserver import CHILD, DAEMON, PRIMARY, RESOLVER, SECONDARY
from lib.world import World

LOOKUP = "import socket, sys; print(socket.getaddrinfo(sys.argv[1], 80, socket.AF_INET)[0][4][0])"


@pytest.fixture(params=["knot", "bind"])
def dns(request):
    """Everything that the test starts is beside these servers."""
    try:
        with nameserver.running(request.param) as servers:
            yield servers
    except netns.Unable as e:
        pytest.skip(str(e))


def lookup(name):
    """By the system's resolver, in a fresh process."""
    done = subprocess.run(["/usr/bin/python3", "-c", LOOKUP, name], capture_output=True, text=True, timeout=30 * base.PATIENCE)
    return done.stdout.strip()


def test_delegation(dns):
    assert dns.values("ns.sub.example.jp", "A") == [CHILD]  # from the root by way of example.jp
    assert dns.values("example.jp", "NS") == ["ns1.example.jp", "ns2.example.jp"]
    assert dns.query("www.example.jp", "A").rcode == "NXDOMAIN"
    assert dns.query("example.com", "A").rcode == "NXDOMAIN"
    assert dns.query("_dnsauth.sub.example.jp", server=PRIMARY).values("TXT") == []  # only a referral
    for name in ("_dnsauth.example.jp", "_dnsauth.sub.example.jp", "x.dcv.example.net"):
        dns.add(name, "TXT", f"of {name}")
        # The resolver remembers for a moment that there was nothing.
        base.until(lambda n=name: dns.values(n) == [f"of {n}"], why=f"the resolver sees {name}")
    dns.add("_dnsauth.www.example.jp", "CNAME", "x.dcv.example.net")
    base.until(lambda: dns.values("_dnsauth.www.example.jp") == ["of x.dcv.example.net"], why="the resolver follows the CNAME")


def test_keys(dns):
    name = "_dnsauth.www.example.jp"
    assert dns.change(name, "TXT", "v", 60, key=DAEMON) == "NOERROR"
    assert dns.change("www.example.jp", "A", "127.0.0.1", 60, key=DAEMON) != "NOERROR"
    assert dns.change(name, "TXT", "w", 60, key=(DAEMON[0], nameserver.ADMIN[1])) != "NOERROR"
    assert dns.change("_dnsauth.sub.example.jp", "TXT", "v", 60, key=DAEMON) == "NOERROR"
    assert dns.values(name, server=PRIMARY) == ["v"]
    assert dns.change(name, "TXT", "v", key=DAEMON) == "NOERROR"
    assert dns.values(name, server=PRIMARY) == []


def test_secondary(dns):
    name = "_dnsauth.example.jp"
    dns.add(name, "TXT", "one")
    base.until(lambda: dns.values(name, server=SECONDARY) == ["one"], why="the secondary follows")
    dns.freeze()
    dns.add(name, "TXT", "two")
    assert dns.values(name, server=PRIMARY) == ["one", "two"]
    dns.add("other.example.jp", "TXT", "x")
    assert dns.values(name, server=SECONDARY) == ["one"]
    dns.thaw()
    assert dns.values(name, server=SECONDARY) == ["one", "two"]


def test_server_that_is_down(dns):
    dns.secondary.stop()
    dns.add("_dnsauth.example.jp", "TXT", "one")
    with pytest.raises(OSError):
        dns.query("_dnsauth.example.jp", server=SECONDARY)
    base.until(lambda: dns.values("_dnsauth.example.jp") == ["one"], why="the resolver asks the other server")
    dns.secondary.start()
    dns.catch_up()
    assert dns.values("_dnsauth.example.jp", server=SECONDARY) == ["one"]


def test_system_resolver(dns):
    assert lookup("ns2.example.jp") == SECONDARY
    assert lookup("www.example.jp") == ""


def test_way_back(tmp_path):
    """The namespace is left as if nothing had been."""

    def look():
        spaces = [pathlib.Path("/proc/thread-self/ns", kind).readlink() for kind in ("net", "mnt")]
        return *spaces, pathlib.Path.cwd(), pathlib.Path(netns.RESOLV_CONF).read_text()

    if not pathlib.Path(netns.RESOLV_CONF).exists():
        pytest.skip(f"{netns.RESOLV_CONF} is missing here")
    before = look()
    try:
        with netns.Namespace(tmp_path, "127.0.0.99"):
            inside = look()
    except netns.Unable as e:
        pytest.skip(str(e))
    assert "127.0.0.99" in inside[3]
    assert inside[0] != before[0] and inside[1] != before[1]
    assert look() == before


def test_daemon_asks_there(dns):
    """preflight.http without an address: the daemon finds the web server by the system's resolver."""
    need("dvcertd", "dvcertctl", "dvcert-sandbox")
    if not webserver.is_installed():
        pytest.skip("nginx is not installed")
    name = "www.example.jp"
    world = World()
    try:
        world.http_port = 80
        d = world.simple(name, preflight={"http": "on"})
        d.start()
        d.wait_error(name, "resolve")
        dns.add(name, "A", "127.0.0.1")
        d.wait(name)
        world.assert_good(d, name)
        d.stop()
    finally:
        world.close()
