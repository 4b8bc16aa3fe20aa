# SPDX-License-Identifier: Apache-2.0
"""Peers and local users who mean harm: a CA that is not the CA, servers that never end, clients by the thousand, texts that
would like to be something else."""

import contextlib
import datetime
import http.client
import ipaddress
import json
import os
import pathlib
import resource
import socket
import ssl
import subprocess
import threading
import time
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lib import base

NAME = "www.example.jp"
ANSWER_LIMIT = 2.0  # seconds that a good client may wait, at worst, beside any number of bad ones
CLIENTS = 1000
MEMORY_KB = 40 * 1024


# --- servers that are not what they should be ---


class Issuer:
    def __init__(self, folder, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.cert = self.sign(self.name, self.key, is_ca=True)
        self.file = pathlib.Path(folder) / f"{name}.pem"
        self.file.write_bytes(self.cert.public_bytes(serialization.Encoding.PEM))

    def sign(self, subject, key, days=(-1, 10), host="127.0.0.1", is_ca=False):
        now = datetime.datetime.utcnow()
        san = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days[0])).not_valid_after(now + datetime.timedelta(days[1]))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )  # fmt: skip
        if not is_ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([san]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def server(self, folder, self_signed=False, **more):
        """An SSL context for a server with a certificate of ours."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        if self_signed:
            alone = Issuer(folder, "alone")
            key, cert = alone.key, alone.cert
        else:
            cert = self.sign(subject, key, **more)
        file = pathlib.Path(folder) / f"server{cert.serial_number}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        file.write_bytes(private + cert.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


class Peer:
    """A TLS server whose answers are a function: answer(connection, request head). Without a context: one that has no TLS."""

    def __init__(self, context=None, answer=lambda *_: None):
        self.context = context
        self.answer = answer
        self.requests = []  # heads, in the clear
        self.raw = b""  # what came without TLS
        self.n_connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.open = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                self.n_connections += 1
                self.open.append(s)
                threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        with contextlib.suppress(OSError, ValueError):
            if self.context:
                try:
                    s = self.context.wrap_socket(s, server_side=True)
                except (OSError, ValueError):
                    s.close()
                    return
                self.open.append(s)
            else:
                self.raw += s.recv(65536)
                s.sendall(b"HTTP/1.1 400 Speak TLS\r\nContent-Length: 0\r\n\r\n")
                s.close()
                return
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    chunk = s.recv(65536)
                    if not chunk:
                        return
                    head += chunk
                head, _, body = head.partition(b"\r\n\r\n")
                want = int(next((h.split(b":")[1] for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0))
                while len(body) < want:
                    body += s.recv(65536)
                self.requests.append(head.decode())
                self.answer(s, head.decode())

    def close(self):
        for s in self.open:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


@pytest.fixture
def peers():
    made = []

    def make(*args, **more):
        made.append(Peer(*args, **more))
        return made[-1]

    yield make
    for p in made:
        p.close()


def at(world, url, ca_file, **more):
    """A daemon whose CertCentral is somebody else's server."""
    world.start_ca()
    world.start_web()
    return world.make_daemon(world.domain(NAME), certcentral={"url": url, "ca_file": str(ca_file)}, **more)


WRONG = {
    "self-signed": {"self_signed": True},
    "other-name": {"host": "api.example.jp"},
    "other-address": {"host": "127.0.0.2"},
    "expired": {"days": (-9, -1)},
    "not-yet-valid": {"days": (2, 9)},
    "other-root": {},
    "tls-1.1": {},
    "no-tls": {},
}


@pytest.mark.parametrize("case", WRONG)
def test_server_that_is_not_the_ca(world, peers, case):
    """No byte of a request leaves, and nothing falls back to anything."""
    ours, other = Issuer(world.dir, "ours"), Issuer(world.dir, "other")
    context = (other if case == "other-root" else ours).server(world.dir, **WRONG[case])
    if case == "tls-1.1":
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
    peer = peers(None if case == "no-tls" else context)
    d = at(world, f"https://127.0.0.1:{peer.port}/services/v2", ours.file).start()
    shown = d.wait_error(NAME, "^tls ")
    assert shown["state"] in ("retrying", "pending") and shown["phase"] == "submit", shown
    base.until(lambda: peer.n_connections >= 2, 30, why="it tries again")
    d.stop()
    assert peer.requests == [] and b"X-DC-DEVKEY" not in peer.raw and world.sandbox.api_key.encode() not in peer.raw
    assert (case == "no-tls") == bool(peer.raw)


def test_the_right_server_is_asked(world, peers):
    """What the cases above differ from."""
    ours = Issuer(world.dir, "ours")
    peer = peers(ours.server(world.dir), lambda s, _: s.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"))
    d = at(world, f"https://127.0.0.1:{peer.port}/services/v2", ours.file).start()
    base.until(lambda: peer.requests, 30, why="a request")
    assert "POST /services/v2/order/certificate/" in peer.requests[0] and f"X-DC-DEVKEY: {world.sandbox.api_key}" in peer.requests[0]
    d.stop()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(world, peers, status):
    """libcurl 7.88 would hand X-DC-DEVKEY to the other server."""
    ours = Issuer(world.dir, "ours")
    elsewhere = peers(ours.server(world.dir), lambda s, _: s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    head = f"HTTP/1.1 {status} Away\r\nLocation: https://127.0.0.1:{elsewhere.port}/x\r\nContent-Length: 0\r\n\r\n".encode()
    peer = peers(ours.server(world.dir), lambda s, _: s.sendall(head))
    d = at(world, f"https://127.0.0.1:{peer.port}/services/v2", ours.file).start()
    d.wait_error(NAME, f"answered {status}.*redirects are never followed")
    d.stop()
    assert peer.requests and elsewhere.n_connections == 0


def test_proxies_of_the_environment(world, peers):
    proxy = peers()
    d = world.simple(NAME)
    d.env = {n: f"http://127.0.0.1:{proxy.port}" for n in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}
    d.start()
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert proxy.n_connections == 0


# --- peers that never end ---


def trickle(s):
    for c in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000:
        s.sendall(bytes([c]))
        time.sleep(1)


def endless_body(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        s.sendall(b"1\r\nx\r\n")
        time.sleep(0.01)


def endless_head(s):
    s.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        s.sendall(b"X-More: x\r\n")
        time.sleep(0.01)


def endless_continue(s):
    while True:
        s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def silence(s):
    s.recv(1)


SLOW = [trickle, endless_body, endless_head, endless_continue, silence]


def test_slow_answers_delay_nobody_else(world, peers):
    """Five pushes that do not end; ten others, and whoever asks for the status, do not notice."""
    slow = [f"slow{i}.example.jp" for i in range(len(SLOW))]
    good = [f"good{i}.example.jp" for i in range(10)]

    def answer(s, head):
        for name, how in zip(slow, SLOW):
            if f"host={name}" in head:
                how(s)
        s.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}')

    ours = Issuer(world.dir, "ours")
    peer = peers(ours.server(world.dir), answer)
    world.start_ca("--rate", "off")
    world.start_web()
    d = world.make_daemon(
        *[world.domain(n, key={"type": "ec", "curve": "P-256"}) for n in slow + good],
        scutum={"url": f"https://127.0.0.1:{peer.port}/api/v1", "ca_file": str(ours.file)},
    ).start()
    d.wait(*good, timeout=40)
    states = {s["name"]: s for s in d.status()["domains"]}
    assert all(states[n]["state"] == "deploying" and states[n]["generation"] == 1 for n in slow), states
    assert worst_answer(d, 20) < ANSWER_LIMIT
    assert len(peer.requests) == 15
    assert d.notify.last("READY") == "1"


# --- local users ---


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become somebody else")
def test_memory_is_not_for_others_of_the_same_user(world):
    """No core file, no ptrace, no /proc/PID/mem or environ: such a process belongs to root in /proc."""
    world.start_ca()
    world.start_web()
    world.web.www.chmod(0o755)
    d = world.make_daemon(world.domain(NAME), uid=65534).start()
    plain = subprocess.Popen(["/bin/sleep", "60"], user=65534, group=65534, extra_groups=[], env=base.clean_env())
    try:
        assert os.stat(f"/proc/{plain.pid}/environ").st_uid == 65534
        for f in ("environ", "mem", "maps", "fd"):
            assert os.stat(f"/proc/{d.proc.pid}/{f}").st_uid == 0, f
            program = "/bin/ls" if f == "fd" else "/bin/cat"
            done = subprocess.run(
                [program, f"/proc/{d.proc.pid}/{f}"], user=65534, group=65534, extra_groups=[], capture_output=True
            )
            assert done.returncode != 0 and b"ermission denied" in done.stderr, done
    finally:
        base.end_process(plain)


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become somebody else")
def test_other_users_do_not_even_connect(world):
    d = world.simple(NAME).start()
    code = "import socket,sys; s=socket.socket(socket.AF_UNIX); sys.exit(s.connect_ex(sys.argv[1]))"
    done = subprocess.run(["/usr/bin/python3", "-c", code, str(d.socket)], user=65534, group=65534, extra_groups=[])
    assert done.returncode == 13, "EACCES"


def dial(d):
    """Waits for its place in the queue: a socket with a time-out is told EAGAIN when that is full."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(d.socket))
    s.settimeout(20 * base.PATIENCE)
    return s


def ask(d, **request):
    with dial(d) as s:
        s.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(s.makefile().readline())


def worst_answer(d, n, verb="status"):
    worst = 0.0
    for _ in range(n):
        began = time.monotonic()
        answer = ask(d, verb=verb)
        worst = max(worst, time.monotonic() - began)
        assert answer["ok"], answer
    return worst


def memory_kb(d):
    text = pathlib.Path(f"/proc/{d.proc.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * CLIENTS:
        pytest.skip("too few file descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


GARBAGE = [
    b"\0" * 4096, b"{" * 70000, b"\n" * 2000, b'{"verb":"status"\n' * 50, b'{"verb":"\xff"}\n', b"GET / HTTP/1.1\r\n\r\n",
    b'{"verb":"show","names":["' + b"x" * 3000 + b'"]}\n', b'{"verb":"status","verb":"wait"}\n', b"[" * 5000 + b"\n",
]  # fmt: skip


class Crowd:
    """CLIENTS that connect and hang, and four who keep connecting to say nonsense, until the end of the block."""

    def __init__(self, connect, garbage):
        self.connect, self.garbage = connect, garbage
        self.held, self.threads = [], []
        self.stopping = False
        self.n_said = 0

    def __enter__(self):
        for i in range(CLIENTS):
            s = self.connect()
            if i % 2:
                self._say(s, self.garbage[0][:20])
            self.held.append(s)
        for i in range(4):
            self.threads.append(threading.Thread(target=self._talk, args=(i,), daemon=True))
            self.threads[-1].start()
        return self

    def _dial(self):
        with contextlib.suppress(OSError):
            return self.connect()

    @staticmethod
    def _say(s, text):
        with contextlib.suppress(OSError):
            s.sendall(text)

    def _talk(self, i):
        while not self.stopping:
            s = self._dial()
            if s:
                s.settimeout(0.2)
                self._say(s, self.garbage[(i + self.n_said) % len(self.garbage)])
                s.close()
            self.n_said += 1
            time.sleep(0.005)

    def __exit__(self, *_):
        self.stopping = True
        for t in self.threads:
            t.join(10)
        for s in self.held:
            s.close()


def test_crowd_at_the_control_socket(world, many_files):
    d = world.simple(NAME, "b.example.jp", ca=["--issue-delay", "2s"]).start()
    before = memory_kb(d)

    quiet = worst_answer(d, 20)
    with Crowd(lambda: dial(d), GARBAGE) as crowd:
        loud = worst_answer(d, 200)
        base.until(lambda: crowd.n_said > 200, 30, why="nonsense is talked")
        base.until(lambda: len(world.sandbox.orders()) == 2, 30, why="orders go on")
        d.wait(NAME, "b.example.jp")
        loud = max(loud, worst_answer(d, 100))
        grown = memory_kb(d) - before
    print(f"status: at worst {quiet * 1000:.1f} ms alone, {loud * 1000:.1f} ms in the crowd; {grown} kB more memory")
    assert loud < ANSWER_LIMIT * base.PATIENCE
    if "san" not in str(base.BUILD):
        assert grown < MEMORY_KB
    for name in (NAME, "b.example.jp"):
        world.assert_good(d, name)


def test_crowd_at_the_responder(world, many_files):
    """The CA gets the proof all the same."""
    port = world.ports.take()
    names = [f"r{i}.example.jp" for i in range(3)]
    world.http_port = port
    world.start_ca("--issue-delay", "2s")
    domains = [{"name": n, "dcv": {"method": "http-token", "responder": True}} for n in names]
    d = world.make_daemon(*domains, responder={"listen": f"127.0.0.1:{port}"}, preflight={"http": "off"})

    def connect():
        return socket.create_connection(("127.0.0.1", port), timeout=2)

    garbage = [b"GET /.well-known", b"\0" * 30000, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9000, b"POST / HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n",
               b"GET " + b"/" * 40000 + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"]  # fmt: skip
    world.sandbox.fault("order", "delay", delay_ms=4000, times=3)  # the crowd is there before the proof is wanted
    d.start()
    before = memory_kb(d)
    with Crowd(connect, garbage):
        d.wait(*names, timeout=60)
        worst = 0.0
        for _ in range(50):
            began = time.monotonic()
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            c.request("GET", "/.well-known/pki-validation/fileauth.txt", headers={"Host": names[0]})
            assert c.getresponse().status == 404, "the proof is not needed any more"
            c.close()
            worst = max(worst, time.monotonic() - began)
        control = worst_answer(d, 50)
        grown = memory_kb(d) - before
    print(f"responder: at worst {worst * 1000:.1f} ms, status {control * 1000:.1f} ms; {grown} kB more memory")
    assert max(worst, control) < ANSWER_LIMIT * base.PATIENCE
    if "san" not in str(base.BUILD):
        assert grown < MEMORY_KB
    assert len(world.sandbox.orders()) == 3 and world.sandbox.counts()["check"] <= 12


# --- texts of the CA ---

HOSTILE = {
    "line": "first\nsecond 2026-01-01T00:00:00Z error: forged",
    "ansi": "\x1b[2J\x1b]0;title\x07red",
    "bidi": "abc\u202edcba\u2066x",
    "format": "%n%s%n%s%s%s%s",
    "shell": "$(touch /tmp/x) `id` ; rm -rf / #",
    "path": "../../../../etc/passwd",
    "html": "<script>alert(1)</script>",
    "long": "x" * 3000,
    "c1": "\x9b31m\x85next",
}


@pytest.mark.parametrize("form", ["text", "json"])
def test_texts_of_the_ca(world, form):
    """A record stays one line of bounded length without anything that a terminal obeys."""
    names = [f"{case}.example.jp" for case in HOSTILE]
    world.start_ca()
    world.start_web()
    d = world.make_daemon(*[world.domain(n) for n in names[:1]], log={"level": "debug", "format": form})
    d.start()
    for case, text in HOSTILE.items():
        world.sandbox.forget_requests()
        world.sandbox.fault("order", "status", status=400, code=text[:200], message=text)
        if case != next(iter(HOSTILE)):
            assert d.ctl("renew", names[0]).code == 0
        base.until(lambda: world.sandbox.faults_hit("order"), 30, why=f"{case} is said")
        shown = d.wait(names[0], state="failed")[0]
        assert len(shown["error"]["message"]) < 600
        for_people = d.ctl("status", as_json=False)
        for said in (for_people.out, d.ctl("show", names[0], as_json=False).out, d.ctl("history", names[0], as_json=False).out):
            assert all(c == "\n" or c.isprintable() for c in said), (case, said)
    d.stop()
    log = d.log_path.read_text()
    assert all(c == "\n" or c.isprintable() for c in log), [c for c in log if c != "\n" and not c.isprintable()]
    lines = log.splitlines()
    assert max(len(line) for line in lines) < 3000
    assert not any(line.startswith(("second", "next")) for line in lines) and len([x for x in lines if "forged" in x]) <= 3
    if form == "json":
        assert all(json.loads(line)["level"] for line in lines)
