# SPDX-License-Identifier: Apache-2.0
"""A certificate is deployed when it is seen: `verify` targets against TLS servers that serve it, late, wrongly or not at all."""

import pathlib
import shutil
import socket
import ssl
import tempfile
import threading

import pytest
from conftest import need
from lib import base, helper, netns, webserver
from lib.world import World

NAME = "www.example.jp"
FAMILIES = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


def write_pair(folder, pair):
    folder.mkdir()
    for file, text in pair.items():
        (folder / file).write_text(text)
    return folder


class Server:
    """A TLS server that decides for each connection what it shows: choose(n) gives a folder and a file of certificates,
    or None to close without a word."""

    def __init__(self, host="127.0.0.1", port=0):
        self.host = host
        self.family = FAMILIES[host]
        self.port = port
        self.choose = None
        self.names = []  # that were asked for
        self.n = 0
        self.listener = None
        self.thread = None

    def serves(self, folder, file="fullchain.pem"):
        self.choose = lambda _n: (folder, file)
        return self

    def start(self):
        self.listener = socket.socket(self.family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.thread.join(10)
            self.listener.close()
            self.listener = None

    def _run(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with conn:
                conn.settimeout(10)
                try:
                    self._serve(conn)
                except OSError:  # ssl.SSLError is one
                    pass

    def _serve(self, conn):
        self.n += 1
        chosen = self.choose(self.n)
        if chosen is None:
            return
        folder, file = chosen
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / file, folder / "privkey.pem")
        context.sni_callback = lambda _s, name, _c: self.names.append(name)
        with context.wrap_socket(conn, server_side=True) as tls:
            assert tls.recv(1) == b"", "a look reads and writes nothing"

    @property
    def connect(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def target(self, **more):
        return {"verify": {"connect": self.connect, **more}}


@pytest.fixture
def servers():
    made = []

    def make(*args, **more):
        made.append(Server(*args, **more))
        return made[-1]

    yield make
    for s in made:
        s.stop()


def prepare(world, *targets, **more):
    world.start_ca()
    world.start_web()
    entry = world.domain(NAME, scutum=False, **more)
    entry["deploy"] = list(targets)
    return world.make_daemon(entry)


def live(d):
    return pathlib.Path(d.live(NAME))


def other(world):
    """A certificate for the same name that is none of ours."""
    return write_pair(world.dir / "other", helper.make_pair(NAME))


def failing(d, pattern):
    shown = d.wait_error(NAME, pattern)
    assert shown["state"] == "deploying" and shown["generation"] == 1, shown
    (item,) = [t for t in shown["deploy"] if t["state"] != "done"]
    assert item["target"].startswith("verify:"), shown
    return shown


def assert_done(world, d):
    (shown,) = d.wait(NAME)
    assert shown["error"] is None and all(t["state"] == "done" for t in shown["deploy"]), shown
    assert len(world.sandbox.orders(NAME)) == 1
    return shown


# --- one server ---


@pytest.mark.parametrize("host", FAMILIES)
def test_served(world, servers, host):
    server = servers(host).start()
    d = prepare(world, server.target())
    server.serves(live(d))
    d.start()
    shown = assert_done(world, d)
    assert shown["deploy"][0]["target"] == f"verify:{server.connect}"
    assert server.names == [NAME] and server.n == 1
    d.restart()
    assert d.status(NAME)["state"] == "valid" and server.n == 1, "done is done"


def test_server_name(world, servers):
    """Of a wildcard's domain a name that the server knows is asked for."""
    server = servers().start()
    d = prepare(world, server.target(server_name="shop.example.jp"))
    server.serves(live(d))
    d.start()
    assert_done(world, d)
    assert server.names == ["shop.example.jp"]


def test_another_certificate(world, servers):
    """An error that stays, over a restart too, until the right one is seen."""
    server = servers().start().serves(other(world))
    d = prepare(world, server.target(settle="1s")).start()
    shown = failing(d, "not-served.*serves the certificate")
    error = shown["error"]
    assert server.connect in error["message"] and shown["serial"] in error["message"], error
    assert "which files does that server read" in error["message"], error
    d.restart()
    failing(d, "not-served")
    text = d.ctl("status", NAME, as_json=False).out
    assert "serves the certificate" in text, text
    assert d.ctl("wait", NAME, "--timeout", "1s").code == 75
    server.serves(live(d))
    assert_done(world, d)


def test_keeps_serving_the_old_one(world, servers):
    """After a renewal: the server was never reloaded."""
    server = servers().start()
    d = prepare(world, server.target(settle="1s"))
    server.serves(live(d))
    d.start()
    first = assert_done(world, d)
    kept = shutil.copytree(live(d), world.dir / "kept")
    server.serves(kept)
    assert d.ctl("renew", NAME).code == 0
    shown = d.wait_error(NAME, "not-served.*still serves our previous certificate")
    assert shown["state"] == "deploying" and shown["generation"] == 2, shown
    assert first["serial"] in shown["error"]["message"] and shown["serial"] in shown["error"]["message"]
    server.serves(live(d))
    (shown,) = d.wait(NAME)
    assert shown["error"] is None and shown["generation"] == 2


def test_keeps_serving_the_newer_one(world, servers):
    """After a rollback: the same mistake the other way round."""
    server = servers().start()
    d = prepare(world, server.target(settle="1s"))
    server.serves(live(d))
    d.start()
    assert_done(world, d)
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: d.status(NAME)["generation"] == 2, 30, why="the second generation")
    d.wait(NAME)
    server.serves(shutil.copytree(live(d), world.dir / "kept"))
    answer = d.ctl("rollback", NAME)
    assert answer.code == 0, answer
    shown = d.wait_error(NAME, "not-served.*still serves our previous certificate")
    assert shown["state"] == "deploying" and shown["generation"] == 1, shown
    server.serves(live(d))
    d.wait(NAME)


def test_lags(world, servers):
    """A few seconds of the old one within the time to settle are nothing to talk about."""
    server = servers().start()
    d = prepare(world, server.target(settle="30s"))
    old, new = other(world), live(d)
    server.choose = lambda n: (old if n <= 2 else new, "fullchain.pem")
    d.start()
    base.until(lambda: server.n >= 2, 30, why="a second look")
    assert d.status(NAME)["error"] is None and d.status(NAME)["state"] == "deploying"
    assert_done(world, d)
    assert server.n == 3
    assert "not-served" not in d.log() and "serves the certificate" not in d.log()


def test_is_down(world, servers):
    """Nobody listens, then something listens that does not speak TLS, then the server is there."""
    server = servers(port=world.ports.take())
    d = prepare(world, server.target(settle="0s")).start()
    failing(d, "connect.*refuses the connection: no server listens there")
    plain = socket.create_server(("127.0.0.1", server.port))

    def say():
        while True:
            try:
                conn, _ = plain.accept()
            except OSError:
                return
            with conn:
                conn.recv(4096)
                conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    failing(d, r"tls.*answers plain text, not TLS \(\"HTTP/1.1 400 Bad Request")
    plain.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    plain.close()
    server.serves(live(d)).start()
    assert_done(world, d)


def test_incomplete_chain(world, servers):
    """The commonest mistake: cert.pem instead of fullchain.pem. Browsers that have seen the intermediate elsewhere hide it."""
    server = servers().start()
    d = prepare(world, server.target(settle="1s"))
    server.serves(live(d), "cert.pem")
    d.start()
    shown = failing(d, "chain-incomplete.*without the intermediate")
    assert "fullchain.pem, not cert.pem" in shown["error"]["message"], shown
    server.serves(live(d))
    assert_done(world, d)


def test_says_nothing(world, servers):
    """A server that closes, and one that accepts and never says a word: the daemon goes on meanwhile."""
    closes, mute = servers().start(), socket.create_server(("127.0.0.1", 0))
    closes.choose = lambda _n: None
    with mute:
        port = mute.getsockname()[1]
        d = prepare(world, closes.target(settle="0s"), {"verify": {"connect": f"127.0.0.1:{port}", "settle": "0s"}}).start()
        d.wait_error(NAME, "tls.*closes the connection|tls.*reset")
        assert d.status(NAME)["state"] == "deploying"
    closes.serves(live(d))
    mine = servers(port=port).serves(live(d)).start()
    assert_done(world, d)
    assert mine.n >= 1


# --- several addresses ---


def test_both_families(world, servers):
    """Two targets: the one that is wrong is named, the other one is done."""
    four = servers("127.0.0.1").start()
    six = servers("::1").start()
    d = prepare(world, four.target(settle="1s"), six.target(settle="1s"))
    four.serves(live(d))
    six.serves(other(world))
    d.start()
    shown = failing(d, r"not-served.*\[::1\]")
    assert [t["state"] for t in shown["deploy"]][0] == "done"
    six.serves(live(d))
    assert_done(world, d)


@pytest.fixture
def own_hosts(request):
    """A world with a hosts file and a network of its own."""
    need("dvcertd", "dvcertctl", "dvcert-sandbox")
    if not webserver.is_installed():
        pytest.skip("nginx is not installed")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hosts", dir="/tmp"))
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n127.0.0.1 {NAME}\n::1 {NAME}\n")
    hosts.chmod(0o644)
    try:
        with netns.Namespace(folder, "127.0.0.1"):
            netns.mount(hosts, "/etc/hosts", netns.MS_BIND)
            w = World()
            try:
                w.hosts = hosts
                yield w
                for d in w.daemons:
                    if d.alive():
                        d.stop()
            finally:
                w.close(keep=getattr(request.node, "has_failed", False))
    except netns.Unable as e:
        pytest.skip(str(e))
    finally:
        shutil.rmtree(folder)


def test_all_addresses_of_a_host(own_hosts, servers):
    """Without `connect`: port 443 of the name, by IPv4 and IPv6, both in one look."""
    world = own_hosts
    four = servers("127.0.0.1", 443).start()
    six = servers("::1", 443).start()
    d = prepare(world, {"verify": {"settle": "1s"}})
    four.serves(live(d))
    six.serves(other(world))
    d.start()
    shown = failing(d, r"not-served.*\[::1\]:443")
    assert [t["target"] for t in shown["deploy"]] == [f"verify:{NAME}:443"]
    six.stop()
    failing(d, r"connect.*\[::1\]:443 refuses the connection")
    six.serves(live(d)).start()
    assert_done(world, d)
    assert four.names[0] == six.names[0] == NAME


def test_family_without_a_route(own_hosts, servers):
    """An address that this machine cannot have a way to is no failure while the other family can be seen; nor is a name that
    cannot be found anything but a failure."""
    world = own_hosts
    world.hosts.write_text(f"127.0.0.1 localhost\n127.0.0.1 {NAME}\n2001:db8::1 {NAME}\n")  # nothing but loopback here
    server = servers("127.0.0.1", 443).start()
    d = prepare(world, {"verify": {"settle": "0s"}}, {"verify": {"connect": "nowhere.example.jp:443", "settle": "0s"}})
    server.serves(live(d))
    d.start()
    shown = failing(d, "resolve.*the addresses of nowhere.example.jp cannot be found")
    assert [t["state"] for t in shown["deploy"]][0] == "done"
    assert "[2001:db8::1]:443 was not looked at: this machine has no route for IPv6" in d.log()
    with open(world.hosts, "a") as f:
        f.write("127.0.0.1 nowhere.example.jp\n")
    assert_done(world, d)
