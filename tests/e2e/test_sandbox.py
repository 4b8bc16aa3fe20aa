# SPDX-License-Identifier: Apache-2.0
"""dvcert-sandbox against its contract, docs/SANDBOX.md: every endpoint, every refusal, every fault.

Self-contained: the sandbox runs on a port of the kernel's choice, and the web server it validates against
lives in this file. The binary is found in $DVCERT_BUILD (default build/rel)."""

import base64
import calendar
import contextlib
import datetime
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BUILD = pathlib.Path(os.environ.get("DVCERT_BUILD", "build/rel"))
BINARY = BUILD / "dvcert-sandbox"
PATH = "/.well-known/pki-validation/fileauth.txt"
DAY = 86400


# --- tools -------------------------------------------------------------------------------------------


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["errors"][0]["code"]


class Sandbox:
    """One process, and a keep-alive client for it."""

    def __init__(self, directory, *options, http_port=1):
        command = [str(BINARY), "--listen", "127.0.0.1:0", "--dir", str(directory), "--http-port", str(http_port)]
        self.dir = pathlib.Path(directory)
        self.stderr = open(self.dir.parent / "sandbox.stderr", "a+", encoding="utf-8")
        self.process = subprocess.Popen(
            [*command, *map(str, options)], stdout=subprocess.PIPE, stderr=self.stderr, text=True
        )
        self.ready = self.process.stdout.readline()
        match = re.fullmatch(r"dvcert-sandbox: ready on https://127\.0\.0\.1:(\d+) \(dir (.*)\)\n", self.ready)
        assert match, self.ready
        self.port = int(match[1])
        self.tls = ssl.create_default_context(cafile=str(self.dir / "ca.pem"))
        self.key, self.scutum_key = self.own_key("api-key"), self.own_key("scutum-api-key")
        self.connection = None

    def own_key(self, name):
        path = self.dir / name
        return path.read_text().strip() if path.exists() else None

    def connect(self, host="127.0.0.1"):
        return http.client.HTTPSConnection(host, self.port, timeout=20, context=self.tls)

    def call(self, method, path, body=None, headers=None, key=True, connection=None):
        head = dict(headers or {})
        if key is True and path.startswith("/services"):
            head.setdefault("X-DC-DEVKEY", self.key)
        elif isinstance(key, str):
            head["X-DC-DEVKEY"] = key
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            head.setdefault("Content-Type", "application/json")
        c = connection or self.connection or self.connect()
        if connection is None:
            self.connection = c
        try:
            c.request(method, path, body=body, headers=head)
            r = c.getresponse()
            data = r.read()
            return Answer(r.status, r.headers, data)
        except Exception:
            c.close()
            if connection is None:
                self.connection = None
            raise

    # Services API
    def order(self, names, csr=None, product="cloud_dv_geotrust", top=None, cert=None):
        return self.call("POST", f"/services/v2/order/certificate/{product}", order_body(names, csr, top, cert))

    def placed(self, names, csr=None, **more):
        a = self.order(names, csr, **more)
        assert a.status == 201, a.body
        return a.json

    def info(self, order_id):
        return self.call("GET", f"/services/v2/order/certificate/{order_id}")

    def token(self, order_id):
        return self.call("PUT", f"/services/v2/order/certificate/{order_id}/dcv-random-value")

    def check(self, order_id):
        return self.call("PUT", f"/services/v2/order/certificate/{order_id}/check-dcv")

    def changes(self, query="minutes=10"):
        return self.call("GET", f"/services/v2/order/certificate/status-changes?{query}")

    def find(self, reference, query=""):
        return self.call("GET", f"/services/v2/order/alternate/{urllib.parse.quote(reference, safe='')}{query}")

    def download(self, certificate_id, form="pem_all"):
        return self.call("GET", f"/services/v2/certificate/{certificate_id}/download/format/{form}")

    # Scutum
    def push(self, body, query="host=www.example.jp&id=ABC1234", method="POST", key=None, kind="application/json"):
        head = {"X-Scutum-API-Key": key or self.scutum_key, "Content-Type": kind}
        return self.call(method, f"/api/v1/update_cert?{query}", body, head)

    # admin
    def admin(self, method, what, body=None):
        a = self.call(method, f"/sandbox/{what}", body)
        assert a.status == 200, a.body
        return a.json

    def fault(self, endpoint, kind, **keys):
        return self.admin("POST", "faults", {"endpoint": endpoint, "kind": kind, **keys})

    def orders(self):
        return self.admin("GET", "orders")["orders"]

    def ledger(self, order_id):
        return next(o for o in self.orders() if o["order_id"] == order_id)

    def issue(self, order_id):
        return self.admin("POST", f"orders/{order_id}", {"action": "issue"})

    def advance(self, seconds):
        return self.admin("POST", "clock", {"advance_s": seconds})

    def wait(self, order_id, status, timeout=10):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.ledger(order_id)["status"] == status:
                return
            time.sleep(0.02)
        raise AssertionError(f"order is {self.ledger(order_id)['status']}, not {status}")

    def stop(self):
        if self.connection:
            self.connection.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        self.stderr.seek(0)
        said = self.stderr.read()
        self.stderr.close()
        assert "Sanitizer" not in said, said
        return code


class Web:
    """The web server of the validated names: pages by (host, path); counts what was asked."""

    def __init__(self):
        self.pages, self.asked, self.lock = {}, [], threading.Lock()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                host = self.headers["Host"]
                with web.lock:
                    web.asked.append((host, self.path, self.headers["User-Agent"]))
                    status, head, body = web.pages.get((host, self.path), (404, {}, b"none"))
                self.send_response(status)
                for k, v in head.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def put(self, host, body, status=200, path=PATH, **head):
        self.pages[(host, path)] = (status, head, body if isinstance(body, bytes) else body.encode())

    def redirect(self, host, to, status=302, path=PATH):
        self.put(host, "", status, path, Location=to)

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


KEYS = {}


def key_of(kind="ec"):
    if kind not in KEYS:
        KEYS[kind] = {
            "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
            "ec2": lambda: ec.generate_private_key(ec.SECP256R1()),
            "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
            "k256": lambda: ec.generate_private_key(ec.SECP256K1()),
            "rsa": lambda: rsa.generate_private_key(65537, 2048),
            "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
        }[kind]()
    return KEYS[kind]


def csr_of(kind="ec"):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ignored.example")])
    req = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key_of(kind), hashes.SHA256())
    return req.public_bytes(serialization.Encoding.PEM).decode()


def order_body(names, csr=None, top=None, cert=None):
    """top and cert overwrite members; a value of None removes the member."""
    certificate = {
        "common_name": names[0],
        "dns_names": names[1:],
        "csr": csr or csr_of(),
        "signature_hash": "sha256",
        "server_platform": {"id": -1},
    }
    body = {
        "order_validity": {"years": 1},
        "dcv_method": "http-token",
        "payment_method": "balance",
        "skip_approval": True,
    }
    certificate.update(cert or {})
    body.update(top or {})
    body.setdefault("certificate", {k: v for k, v in certificate.items() if v is not None})
    return {k: v for k, v in body.items() if v is not None}


def split_pem(data):
    text = data.decode() if isinstance(data, bytes) else data
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\r?\n?", text, re.S)
    return [x509.load_pem_x509_certificate(b.encode()) for b in blocks]


def pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key, password=None):
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, how).decode()


def sans(cert):
    return cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


def utc(moment):
    return calendar.timegm(moment.timetuple())


def signed_by(cert, issuer):
    issuer.public_key().verify(cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(cert.signature_hash_algorithm))
    return cert.issuer == issuer.subject


@pytest.fixture(scope="module")
def web():
    w = Web()
    yield w
    w.stop()


@pytest.fixture
def start(tmp_path, web):
    """Starts sandboxes and stops what is left of them."""
    running = []

    def go(*options, directory=None):
        box = Sandbox(directory or tmp_path / "sbx", *options, http_port=web.port)
        running.append(box)
        return box

    yield go
    for box in running:
        if not box.stderr.closed:
            assert box.stop() == 0


@pytest.fixture(scope="module")
def shared(tmp_path_factory, web):
    s = Sandbox(tmp_path_factory.mktemp("shared") / "sbx", "--rate", "off", "--ca-poll", "0s", http_port=web.port)
    yield s
    assert s.stop() == 0


SETTINGS = {
    "issue_delay_s": 0, "validity_s": 199 * DAY, "ca_poll_s": 60, "find_lag_s": 0, "max_cert_days": 0,
    "old_revoke_s": 48 * 3600, "dcv_replies": "new", "find_none": "404", "approval": "off", "reissue_dcv": "again",
    "lists": "plain", "revoke_approval": "skippable", "approver": "anyone", "key_role": "admin", "key_scope": "all",
    "use_auth_key": "new", "auth_keys": "several", "order_valid_till": "shown", "instant_reissue": "no",
    "method_value": "new", "csr_spelling": "posted", "token_days": 30,
    "revocation": "both", "revocation_life_s": 21600,
}  # fmt: skip


@pytest.fixture
def box(shared):
    """The shared sandbox, put back to its defaults."""
    shared.admin("DELETE", "faults")
    shared.admin("DELETE", "requests")
    shared.admin("DELETE", "caa")
    shared.admin("POST", "clock", {"offset_s": 0})
    shared.admin("POST", "settings", {**SETTINGS, "ca_poll_s": 0, "rates": []})
    yield shared


# --- the way of an order -----------------------------------------------------------------------------


def test_happy_path(box, web):
    names = ["shop.example", "www.shop.example"]
    placed = box.placed(names, top={"alternative_order_id": "happy-1"})
    assert set(placed) == {"id", "certificate_id", "dcv_random_value"}
    oid, cid, token = placed["id"], placed["certificate_id"], placed["dcv_random_value"]
    assert box.token(oid).json["dcv_random_value"] == token
    assert box.find("happy-1").json["orders"] == [{"order_id": oid, "certificate_id": cid, "status": "pending"}]

    assert box.check(oid).code == "file_random_value_not_found"
    for n in names:
        web.put(n, token)
    checked = box.check(oid)
    assert checked.status == 200
    assert checked.json == {
        "order_status": "issued",
        "certificate_id": cid,
        "dns_name_validations": [{"dns_name": n, "status": "approved"} for n in names],
    }
    assert {"order_id": oid, "certificate_id": cid, "status": "issued"} in box.changes().json["orders"]

    info = box.info(oid).json
    assert info["status"] == "issued" and info["certificate"]["id"] == cid
    down = box.download(cid)
    assert down.status == 200 and down.headers["Content-Type"].startswith("text/plain")
    leaf, intermediate, root = split_pem(down.body)
    assert leaf.public_key().public_numbers() == key_of("ec").public_key().public_numbers()
    assert f"{leaf.serial_number:032X}" == info["certificate"]["serial_number"]
    assert signed_by(leaf, intermediate) and signed_by(intermediate, root) and signed_by(root, root)
    assert pem(root) == (box.dir / "ca.pem").read_text()

    pushed = box.push({"cert": pem(leaf), "key": key_pem(key_of("ec")), "im": pem(intermediate)})
    assert pushed.status == 200 and pushed.json == {"status": "ok"}
    assert box.admin("GET", "scutum")["pushes"][-1]["serial"] == info["certificate"]["serial_number"]

    counts = box.admin("GET", "counts")
    assert {k: n for k, n in counts.items() if n or k in ("429", "other")} == {
        "order": 1, "find": 1, "info": 1, "token": 1, "check": 2, "changes": 1, "download": 1, "scutum": 1,
        "429": 0, "other": 0, "n_requests": 9,
    }  # fmt: skip
    log = box.admin("GET", "requests")["requests"]
    assert [r["endpoint"] for r in log] == [
        "order", "token", "find", "check", "check", "changes", "info", "download", "scutum",
    ]  # fmt: skip
    assert [r["status"] for r in log] == [201, 200, 200, 400, 200, 200, 200, 200, 200]
    assert all(r["fault"] is None for r in log)


# --- start, files, options ---------------------------------------------------------------------------


def run(*args):
    return subprocess.run([str(BINARY), *map(str, args)], capture_output=True, text=True, timeout=20)


def test_help_and_version():
    assert run("--help").returncode == 0 and "--issue-delay" in run("--help").stdout
    version = run("--version")
    assert version.returncode == 0 and re.fullmatch(r"dvcert-sandbox \d+\.\d+\.\d+\n", version.stdout)


@pytest.mark.parametrize(
    "args, word",
    [
        ((), "--dir"),
        (("--dir", "x", "y"), "'y'"),
        (("--bogus",), "--bogus"),
        (("--dir",), "--dir"),
        (("--dir", "x", "--listen", "0.0.0.0:1"), "loopback"),
        (("--dir", "x", "--listen", "10.0.0.1:1"), "loopback"),
        (("--dir", "x", "--listen", "[::]:1"), "loopback"),
        (("--dir", "x", "--listen", "localhost:1"), "loopback"),
        (("--dir", "x", "--listen", "127.0.0.1"), "ADDR:PORT"),
        (("--dir", "x", "--listen", "127.0.0.1:65536"), "ADDR:PORT"),
        (("--dir", "x", "--http-port", "0"), "port"),
        (("--dir", "x", "--validity", "0s"), "duration"),
        (("--dir", "x", "--validity", "1y"), "duration"),
        (("--dir", "x", "--rate", "100"), "N/DUR"),
        (("--dir", "x", "--rate", "0/5s"), "N/DUR"),
        (("--dir", "x", "--dcv-replies", "newer"), "takes new|old"),
        (("--dir", "x", "--find-none", "405"), "takes 404|empty"),
        (("--dir", "x", "--set", "find_none=405"), "takes 404|empty"),
        (("--dir", "x", "--set", "csr_spelling"), "takes posted|lf|lf-nofinal|crlf|oneline|body"),
        (("--dir", "x", "--set", "find_nothing=empty"), "there are dcv_replies, find_none"),
        (("--dir", "x", "--set", "token_days=0"), "whole number from 1"),
        (("--dir", "x", "--set", "token_days=1d"), "whole number from 1"),
        (("--dir", "x", "--set", "old_revoke_s=99999999999999999999"), "whole number from 0"),
        (("--dir", "x", "--generation", "older"), "old|new"),
        (("--dir", "x", "--scutum", "a:b"), "HOST:ID:KEYFILE"),
        (("--dir", "x", "--fault", "order"), "ENDPOINT:KIND"),
        (("--dir", "x", "--fault", "orders:delay"), "endpoint"),
        (("--dir", "x", "--fault", "order:explode"), "kind"),
        (("--dir", "x", "--fault", "order:status:tmies=1"), "did you mean 'times'"),
        (("--dir", "x", "--fault", "order:status:status=42"), "range"),
        (("--dir", "x", "--fault", "order:wrong-cert:variant=ca"), "download"),
        (("--dir", "x", "--fault", "download:wrong-cert:variant=pink"), "variant"),
    ],
)
def test_usage_errors(args, word):
    r = run(*args)
    assert r.returncode == 64 and word in r.stderr and r.stdout == "", r.stderr


def test_listen_on_ipv6(tmp_path):
    p = subprocess.Popen(
        [str(BINARY), "--listen", "[::1]:0", "--dir", str(tmp_path / "d")], stdout=subprocess.PIPE, text=True
    )
    line = p.stdout.readline()
    if not line:
        p.wait(timeout=10)
        p.stdout.close()
        pytest.skip("no IPv6 loopback")
    port = int(re.search(r"https://\[::1\]:(\d+) ", line)[1])
    tls = ssl.create_default_context(cafile=str(tmp_path / "d" / "ca.pem"))
    c = http.client.HTTPSConnection("::1", port, context=tls, timeout=10)
    c.request("GET", "/sandbox/counts")
    assert c.getresponse().status == 200
    c.close()
    p.send_signal(signal.SIGINT)
    assert p.wait(timeout=10) == 0
    p.stdout.close()


def test_address_in_use_is_said(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        r = run("--dir", tmp_path / "d", "--listen", f"127.0.0.1:{s.getsockname()[1]}")
    assert r.returncode == 1 and "cannot listen" in r.stderr


def test_directory_files_and_reuse(start, tmp_path):
    first = start()
    assert set(os.listdir(first.dir)) == {
        "ca.pem", "ca-key.pem", "intermediate.pem", "intermediate-key.pem", "api-key", "scutum-api-key",
    }  # fmt: skip
    for name in ("ca-key.pem", "intermediate-key.pem", "api-key", "scutum-api-key"):
        assert (first.dir / name).stat().st_mode & 0o777 == 0o600, name
    before = {n: (first.dir / n).read_bytes() for n in os.listdir(first.dir)}
    old_id = first.placed(["reuse.example"])["id"]
    assert first.stop() == 0
    second = start()
    assert {n: (second.dir / n).read_bytes() for n in os.listdir(second.dir)} == before
    assert second.orders() == []
    assert second.info(old_id).status == 404


def test_broken_directory_is_refused(start):
    first = start()
    directory = first.dir
    assert first.stop() == 0
    (directory / "intermediate-key.pem").write_bytes((directory / "ca-key.pem").read_bytes())
    r = run("--dir", directory, "--listen", "127.0.0.1:0")
    assert r.returncode == 1 and "intermediate-key.pem" in r.stderr


def test_api_key_file(start, tmp_path):
    (tmp_path / "key").write_text("  my-own-key\n")
    box = start("--api-key-file", tmp_path / "key")
    assert box.call("GET", "/services/v2/order/alternate/x", key="my-own-key").code == "not_found|order"
    assert not (box.dir / "api-key").exists()
    r = run("--dir", box.dir, "--api-key-file", tmp_path / "none", "--listen", "127.0.0.1:0")
    assert r.returncode == 1 and "none" in r.stderr


def test_server_certificate(box):
    for host in ("127.0.0.1", "localhost"):
        c = box.connect(host)
        c.connect()
        cert = x509.load_der_x509_certificate(c.sock.getpeercert(binary_form=True))
        c.close()
    assert cert.not_valid_after - datetime.datetime.utcnow() > datetime.timedelta(days=5 * 365)
    alt = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alt.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(i) for i in alt.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    root = x509.load_pem_x509_certificate((box.dir / "ca.pem").read_bytes())
    assert signed_by(cert, root)


def test_quiet_and_log_lines(start):
    loud = start()
    loud.find("x")
    loud.stop()
    log = (loud.dir.parent / "sandbox.stderr").read_text()
    assert "find: GET /services/v2/order/alternate/x -> 404" in log
    assert loud.key not in log
    quiet = start("--quiet")
    quiet.find("y")
    quiet.stop()
    assert "alternate/y" not in (loud.dir.parent / "sandbox.stderr").read_text()


# --- every request -----------------------------------------------------------------------------------


def test_keys(box):
    for path in ("/services/v2/order/certificate/1", "/services/v2/no/such"):
        assert box.call("GET", path, key=None).status == 401
        a = box.call("GET", path, key="wrong")
        assert (a.status, a.code) == (403, "access_denied|missing_permission")
    assert box.placed(["k.example"])["id"]


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/"),
        ("GET", "/services/v2"),
        ("GET", "/services/v2/services/v2/order/certificate/1"),
        ("GET", "/services/v1/order/certificate/1"),
        ("DELETE", "/services/v2/order/certificate/1"),
        ("POST", "/services/v2/order/certificate/1/check-dcv"),
        ("GET", "/services/v2/order/certificate/1/dcv-random-value"),
        ("PUT", "/services/v2/order/certificate/ssl_dv_geotrust"),
        ("GET", "/services/v2/order/certificate/1/"),
        ("GET", "/services/v2/order/certificate//check-dcv"),
        ("GET", "/services/v2/certificate/1/download/format"),
        ("GET", "/a/b/c/d/e/f/g/h"),
    ],
)
def test_unknown_routes(box, method, path):
    a = box.call(method, path, body={} if method in ("POST", "PUT") else None)
    assert (a.status, a.code) == (404, "not_found|route")
    assert box.admin("GET", "counts")["other"] == 1


def test_malformed_addresses(box):
    for path in ("alternate/%zz", "alternate/%00", "alternate/x?" + "&".join(["a=b"] * 20)):
        assert box.call("GET", "/services/v2/order/" + path).code == "bad_request_format"
    assert box.admin("GET", "counts")["other"] == 3


@pytest.mark.parametrize("bad", ["0", "-1", "abc", "99999999999999999999999", "1e3", "%31x"])
def test_unknown_ids(box, bad):
    assert box.info(bad).code == "not_found|order"
    assert box.token(bad).code == "not_found|order"
    assert box.check(bad).code == "not_found|order"
    assert box.download(bad).code == "not_found|certificate"
    p = box.placed(["ids.example"])
    assert box.info(p["certificate_id"]).status == 404
    assert box.download(p["id"]).status == 404


def test_body_rules(box):
    path = "/services/v2/order/certificate/ssl_dv_geotrust"
    good = json.dumps(order_body(["b.example"]))
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        a = box.call("POST", path, good, {"Content-Type": content_type})
        assert (a.status, a.code) == (400, "bad_request_format"), content_type
    assert box.call("POST", path, good, {"Content-Type": "Application/JSON; charset=utf-8"}).status == 201
    for body in ("", "[]", '"x"', "{", good + "x", good[:-1] + ',"dcv_method":"email"}', b'{"a":"\xff"}'):
        a = box.call("POST", path, body)
        assert (a.status, a.code) == (400, "bad_request_format"), body
    assert box.call("POST", path, " " * (1024 * 1024 + 1) + good).status == 413
    assert box.admin("GET", "counts")["order"] == 13


# --- order -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "product, names, method",
    [
        ("ssl_dv_geotrust", ["a.example"], "http-token"),
        ("ssl_dv_rapidssl", ["a.example", "www.a.example"], "http-token"),
        ("wildcard_dv_geotrust", ["*.a.example", "a.example"], "dns-txt-token"),
        ("wildcard_dv_rapidssl", ["*.a.example"], "dns-cname-token"),
        ("cloud_dv_geotrust", ["a.example", "*.b.example"], "dns-txt-token"),
        ("ssl_dv_geotrust_flex", ["a.example", "b.example"], "http-token"),
    ],
)
def test_products(box, product, names, method):
    p = box.placed(names, product=product, top={"dcv_method": method})
    assert box.info(p["id"]).json["product"]["name_id"] == product
    assert box.ledger(p["id"])["dns_names"] == names


def test_unknown_product(box):
    a = box.order(["a.example"], product="ssl_ev")
    assert (a.status, a.code) == (404, "not_found|product")


def cert_change(**change):
    return {"cert": change}


def top_change(**change):
    return {"top": change}


BAD_ORDERS = [
    (top_change(certificate={}), "missing_field|certificate.common_name"),
    (top_change(certificate=[]), "invalid_field|certificate"),
    (cert_change(common_name=None), "missing_field|certificate.common_name"),
    (cert_change(common_name=""), "missing_field|certificate.common_name"),
    (cert_change(csr=None), "missing_field|certificate.csr"),
    (cert_change(signature_hash=None), "missing_field|certificate.signature_hash"),
    (cert_change(signature_hash="sha1"), "invalid_field|certificate.signature_hash"),
    (cert_change(dns_names="a.example"), "invalid_field|certificate.dns_names"),
    (cert_change(dns_names=[1]), "invalid_field|certificate.dns_names"),
    (cert_change(dns_names=["a_b.example"]), "invalid_field|certificate.dns_names"),
    (cert_change(common_name="example"), "invalid_field|certificate.common_name"),
    (cert_change(common_name="a..example"), "invalid_field|certificate.common_name"),
    (cert_change(common_name="a.example."), "invalid_field|certificate.common_name"),
    (cert_change(common_name="-a.example"), "invalid_field|certificate.common_name"),
    (cert_change(common_name="a-.example"), "invalid_field|certificate.common_name"),
    (cert_change(common_name="192.0.2.1"), "invalid_field|certificate.common_name"),
    (cert_change(common_name="a.*.example"), "invalid_field|certificate.common_name"),
    (cert_change(common_name="\u00e4.example"), "invalid_field|certificate.common_name"),
    (cert_change(common_name="a b.example"), "invalid_field|certificate.common_name"),
    (cert_change(common_name="x" * 64 + ".example"), "invalid_field|certificate.common_name"),
    (cert_change(common_name=".".join(["x" * 60] * 5)), "invalid_field|certificate.common_name"),
    (cert_change(dns_names=[f"n{i}.example" for i in range(250)]), "invalid_field|certificate.dns_names"),
    (cert_change(server_platform={}), "missing_field|certificate.server_platform.id"),
    (cert_change(server_platform={"id": "45"}), "invalid_field|certificate.server_platform.id"),
    (cert_change(skip_approval=True), "unknown_field|certificate.skip_approval"),
    (cert_change(include_root=True), "unknown_field|certificate.include_root"),
    (cert_change(csr="rubbish"), "csr_invalid_cannot_parse"),
    (cert_change(cert_validity={"days": 400}), "cert_validity_exceeds_order_validity"),
    (cert_change(cert_validity={"weeks": 4}), "unknown_field|certificate.cert_validity.weeks"),
    (cert_change(cert_validity={"days": 0}), "invalid_field|certificate.cert_validity.days"),
    (top_change(dcvmethod="http-token"), "unknown_field|dcvmethod"),
    (top_change(dcv_method="http"), "invalid_field|dcv_method"),
    (top_change(dcv_method=None, dcv_emails=None, order_validity=None), "missing_field|order_validity"),
    (top_change(order_validity={}), "missing_field|order_validity"),
    (top_change(order_validity={"years": 4}), "invalid_field|order_validity.years"),
    (top_change(order_validity={"years": "1"}), "invalid_field|order_validity.years"),
    (top_change(order_validity={"days": 5000}), "invalid_field|order_validity.days"),
    (top_change(order_validity=None, validity_years=0), "invalid_field|validity_years"),
    (top_change(order_validity=None, custom_expiration_date="2001-01-01"), "invalid_field|custom_expiration_date"),
    (top_change(order_validity=None, custom_expiration_date="soon"), "invalid_field|custom_expiration_date"),
    (top_change(payment_method="cash"), "invalid_field|payment_method"),
    (top_change(skip_approval="true"), "invalid_field|skip_approval"),
    (top_change(alternative_order_id=""), "invalid_field|alternative_order_id"),
    (top_change(alternative_order_id="x" * 256), "invalid_field|alternative_order_id"),
    (top_change(alternative_order_id=7), "invalid_field|alternative_order_id"),
    (top_change(dcv_emails=[]), "invalid_field|dcv_emails"),
    (top_change(auth_key_id="abc"), "auth_key_not_setup"),
    (top_change(disable_ct=True), "cert_transparency_turned_off_for_account"),
    (top_change(container={"id": "1"}), "invalid_field|container.id"),
]


@pytest.mark.parametrize("change, code", BAD_ORDERS, ids=[f"{i}-{c}" for i, (_, c) in enumerate(BAD_ORDERS)])
def test_bad_orders(box, change, code):
    before = len(box.orders())
    a = box.order(["a.example"], **change)
    assert (a.status, a.code) == (400, code), a.body
    assert a.json["errors"][0]["message"]
    assert len(box.orders()) == before


def test_wildcards(box):
    a = box.order(["*.a.example"], top={"dcv_method": "http-token"})
    assert a.code == "invalid_field|dcv_method"
    a = box.order(["*.a.example"], product="ssl_dv_geotrust", top={"dcv_method": "dns-txt-token"})
    assert a.code == "invalid_field|certificate.common_name"
    a = box.order(["a.example"], product="wildcard_dv_geotrust", top={"dcv_method": "dns-txt-token"})
    assert a.code == "invalid_field|certificate.common_name"


def test_validity_forms(box):
    forms = [
        {"order_validity": {"years": 2}},
        {"order_validity": {"days": 300}},
        {"order_validity": None, "validity_years": 1},
        {"order_validity": None, "validity_days": 90},
        {"order_validity": None, "validity_days": 90, "validity_years": 99, "custom_expiration_date": "2099-01-01"},
    ]
    for top in forms:
        if top.get("custom_expiration_date"):
            top["custom_expiration_date"] = (datetime.date.today() + datetime.timedelta(days=30)).isoformat()
        assert box.order(["v.example"], top=top).status == 201, top


def test_all_documented_fields_are_taken(box):
    issued = box.placed(["f.example"])
    box.issue(issued["id"])
    top = {
        "use_auth_key": False,
        "renewal_of_order_id": issued["id"],
        "locale": "en",
        "comments": "x",
        "container": {"id": 1},
        "custom_fields": [{"metadata_id": 11, "value": "x"}],
        "disable_renewal_notifications": True,
        "custom_renewal_message": "x",
        "technical_contact": {},
        "disable_ct": False,
        "additional_emails": [],
        "auto_renew": 0,
        "auto_reissue": 0,
    }
    cert = {
        "ca_cert_id": "5A",
        "profile_option": "server_auth_only_eku",
        "cert_validity": {"days": 90},
        "organization_units": [],
    }
    p = box.placed(["f.example"], top=top, cert=cert)
    info = box.info(p["id"]).json
    assert info["disable_renewal_notifications"] is True
    assert info["certificate"]["cert_validity"] == {"days": 90}


def test_csr_spellings(box):
    text = csr_of()
    body = "".join(text.split("\n")[1:-2])
    head, foot = text.split("\n")[0], text.split("\n")[-2]
    for spelling in (text, text.strip(), text.replace("\n", "\r\n"), head + body + foot, f"\n{text}\n"):
        assert box.order(["c.example"], spelling).status == 201
    der = bytearray(base64.b64decode(body))
    der[-1] ^= 1
    broken = base64.b64encode(bytes(der)).decode()
    longer = base64.b64encode(base64.b64decode(body) + b"\0").decode()
    for spelling in (
        body,
        head + broken + foot,
        head + longer + foot,
        head + body,
        head + body + foot + "x",
        head + foot,
        head + body[:-1] + foot,
        head + "!" + body[1:] + foot,
        pem(x509.load_pem_x509_certificate((box.dir / "ca.pem").read_bytes())),
    ):
        assert box.order(["c.example"], spelling).code == "csr_invalid_cannot_parse", spelling


@pytest.mark.parametrize("kind, good", [("rsa", True), ("p384", True), ("rsa1024", False), ("k256", False)])
def test_csr_keys(box, kind, good):
    a = box.order(["c.example"], csr_of(kind))
    assert a.status == 201 if good else a.code == "csr_invalid_key"


def test_names_are_lowered_and_unique(box):
    p = box.placed(["A.Example", "a.example", "B.a.EXAMPLE"])
    assert box.ledger(p["id"])["dns_names"] == ["a.example", "b.a.example"]


def test_shapes_of_201(box, start):
    assert set(box.placed(["s.example"], top={"dcv_method": None})) == {"id", "certificate_id"}
    assert set(box.placed(["s.example"], top={"dcv_method": "dns-txt-token"})) == {
        "id", "certificate_id", "dcv_random_value",
    }  # fmt: skip
    strict = start("--require-approval")
    assert "certificate_id" in strict.placed(["s.example"])
    p = strict.placed(["s.example"], top={"skip_approval": False, "alternative_order_id": "wait"})
    assert set(p) == {"id", "requests"} and set(p["requests"][0]) == {"id", "status"}
    info = strict.info(p["id"]).json
    assert info["status"] == "needs_approval" and "id" not in info["certificate"]
    assert "certificate_id" not in strict.find("wait").json["orders"][0]
    assert strict.token(p["id"]).code == "invalid_order_status"
    assert strict.check(p["id"]).code == "invalid_order_status"
    strict.admin("POST", f"orders/{p['id']}", {"status": "pending"})
    assert strict.info(p["id"]).json["certificate"]["id"] == strict.ledger(p["id"])["certificate_id"]
    assert strict.token(p["id"]).status == 200


# --- find --------------------------------------------------------------------------------------------


def test_find(box):
    ref = "team/a b+c?%\u00e4"
    ids = [box.placed(["f.example"], top={"alternative_order_id": ref})["id"] for _ in range(3)]
    found = box.find(ref).json
    assert [o["order_id"] for o in found["orders"]] == ids
    assert found["page"] == {"total": 3, "limit": 1000, "offset": 0}
    second = box.find(ref, "?limit=1&offset=1").json
    assert [o["order_id"] for o in second["orders"]] == ids[1:2]
    assert second["page"] == {"total": 3, "limit": 1, "offset": 1}
    assert (box.find("other").status, box.find("other").code) == (404, "not_found|order")
    box.admin("POST", "settings", {"find_none": "empty"})
    assert box.find("other").status == 200 and box.find("other").json["orders"] == []
    assert box.find(ref, "?limit=0").code == "invalid_field|limit"
    assert box.find(ref, "?limits=1").code == "unknown_field|limits"


def test_find_lag(box):
    box.admin("POST", "settings", {"find_lag_s": 60})
    oid = box.placed(["l.example"], top={"alternative_order_id": "lag"})["id"]
    assert box.find("lag").status == 404 and box.info(oid).status == 200
    box.advance(61)
    assert box.find("lag").json["orders"][0]["order_id"] == oid


def test_find_none_option(start):
    assert start("--find-none", "empty").find("x").json == {
        "orders": [],
        "page": {"total": 0, "limit": 1000, "offset": 0},
    }


# --- info --------------------------------------------------------------------------------------------


def test_info(box, web):
    p = box.placed(["i.example", "www.i.example"], csr_of("rsa"), top={"alternative_order_id": "ref"})
    info = box.info(p["id"]).json
    cert = info["certificate"]
    assert info["id"] == p["id"] and info["status"] == "pending"
    assert cert["common_name"] == "i.example" and cert["dns_names"] == ["i.example", "www.i.example"]
    assert cert["key_size"] == 2048 and cert["signature_hash"] == "sha256"
    assert "date_issued" not in cert and "thumbprint" not in cert and "dcv_random_value" not in info
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", cert["date_created"])
    assert cert["csr"] == csr_of("rsa").replace("\n", "\r\n")
    assert info["alternative_order_id"] == "ref" and info["dcv_method"] == "http-token"
    assert info["requests"][0]["type"] == "new_request" and info["renewed_order_id"] == 0
    for name in cert["dns_names"]:
        web.put(name, p["dcv_random_value"])
    assert box.check(p["id"]).status == 200
    info = box.info(p["id"]).json
    cert = info["certificate"]
    leaf = split_pem(box.download(p["certificate_id"]).body)[0]
    assert cert["thumbprint"] == leaf.fingerprint(hashes.SHA1()).hex().upper()
    assert cert["valid_till"] == leaf.not_valid_after.date().isoformat()
    assert cert["valid_from"] == leaf.not_valid_before.date().isoformat()
    assert cert["days_remaining"] in (198, 199)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", info["order_valid_till"])
    assert box.call("GET", f"/services/v2/order/certificate/{p['id']}?include_caa_status=true").status == 200
    typo = box.call("GET", f"/services/v2/order/certificate/{p['id']}?include_cca=1")
    assert typo.code == "unknown_field|include_cca"


# --- token and check ---------------------------------------------------------------------------------


def test_token_is_the_same_until_it_expires(box, web):
    p = box.placed(["t1.example", "t2.example"])
    t = box.token(p["id"]).json
    assert set(t) == {"dcv_random_value", "expiration_date"} and t["dcv_random_value"] == p["dcv_random_value"]
    assert re.fullmatch(r"[a-z0-9]{32}", t["dcv_random_value"])
    web.put("t1.example", p["dcv_random_value"])
    assert box.check(p["id"]).status == 400
    box.advance(30 * DAY - 60)
    assert box.token(p["id"]).json == t
    box.advance(120)
    web.put("t2.example", p["dcv_random_value"])
    assert box.check(p["id"]).status == 400, "an expired value proves nothing"
    new = box.token(p["id"]).json
    assert new["dcv_random_value"] != t["dcv_random_value"]
    assert box.ledger(p["id"])["validated"] == ["t1.example"]
    web.put("t2.example", new["dcv_random_value"])
    assert box.check(p["id"]).json["order_status"] == "issued"
    expires = datetime.datetime.fromisoformat(new["expiration_date"])
    assert abs(expires.timestamp() - (box.admin("GET", "clock")["now_s"] + 30 * DAY)) < 30


def test_bodies_of_token_and_check(box):
    oid = box.placed(["t.example"])["id"]
    base = f"/services/v2/order/certificate/{oid}"
    assert box.call("PUT", base + "/dcv-random-value", {}).status == 200
    assert box.call("PUT", base + "/dcv-random-value", {"x": 1}).code == "unknown_field|x"
    assert box.call("PUT", base + "/check-dcv", {}).code == "file_random_value_not_found"
    assert box.call("PUT", base + "/check-dcv", {"dns_name_validations": []}).code.startswith("unknown_field|")
    assert box.call("PUT", base + "/check-dcv", "{", {"Content-Type": "text/plain"}).code == "bad_request_format"


def test_check_http_new_and_old(box, web):
    for replies in ("new", "old"):
        box.admin("POST", "settings", {"dcv_replies": replies, "issue_delay_s": 3600})
        names = [f"{replies}1.example", f"{replies}2.example"]
        p = box.placed(names)
        web.put(names[0], p["dcv_random_value"])
        a = box.check(p["id"])
        assert (a.status, a.code) == (400, "file_random_value_not_found")
        assert box.ledger(p["id"])["validated"] == names[:1]
        web.put(names[1], p["dcv_random_value"])
        web.pages.pop((names[0], PATH))  # a proof is remembered
        good = box.check(p["id"])
        assert good.status == 200
        rest = (
            {"dcv_status": "valid"}
            if replies == "old"
            else {"dns_name_validations": [{"dns_name": n, "status": "approved"} for n in names]}
        )
        assert good.json == {"order_status": "pending", "certificate_id": p["certificate_id"], **rest}


def test_check_dns_new_and_old(box):
    for method in ("dns-txt-token", "dns-cname-token"):
        p = box.placed(["d.example"], top={"dcv_method": method})
        box.admin("POST", "settings", {"dcv_replies": "old"})
        assert (box.check(p["id"]).status, box.check(p["id"]).code) == (400, "invalid_dns_txt")
        box.admin("POST", "settings", {"dcv_replies": "new"})
        a = box.check(p["id"])
        assert a.status == 200 and a.json["order_status"] == "pending"
        assert a.json["dns_name_validations"] == [{"dns_name": "d.example", "status": "pending"}]
        box.issue(p["id"])
        assert box.check(p["id"]).json["order_status"] == "issued"


def test_check_email(box):
    p = box.placed(["e.example"], top={"dcv_method": "email", "dcv_emails": []})
    assert box.check(p["id"]).code == "invalid_dns_method"
    assert box.token(p["id"]).code == "invalid_dns_method"


def test_dcv_replies_option(start, web):
    box = start("--dcv-replies", "old")
    p = box.placed(["opt.example"])
    web.put("opt.example", p["dcv_random_value"])
    assert box.check(p["id"]).json["dcv_status"] == "valid"


def test_only_the_exact_name_counts(box, web):
    p = box.placed(["www.exact.example"])
    web.put("exact.example", p["dcv_random_value"])
    assert box.check(p["id"]).status == 400
    web.put("www.exact.example", p["dcv_random_value"], path=PATH.upper())
    assert box.check(p["id"]).status == 400
    web.asked.clear()
    web.put("www.exact.example", p["dcv_random_value"])
    assert box.check(p["id"]).status == 200
    assert web.asked == [("www.exact.example", PATH, "DigiCert DCV Bot/1.1")]


@pytest.mark.parametrize(
    "make, good",
    [
        (lambda t: t + "\r\n", True),
        (lambda t: "before\n" + t + "\nafter", True),
        (lambda t: t[:-1], False),
        (lambda t: "", False),
        (lambda t: "x" * 4900 + t, True),
        (lambda t: "x" * 4990 + t, False),
        (lambda t: t + "x" * 100000, True),
    ],
)
def test_content_of_the_file(box, web, make, good):
    p = box.placed(["content.example"])
    web.put("content.example", make(p["dcv_random_value"]))
    assert (box.check(p["id"]).status == 200) == good


@pytest.mark.parametrize("status", [204, 300, 401, 403, 404, 500])
def test_only_200_proves(box, web, status):
    p = box.placed(["status.example"])
    web.put("status.example", p["dcv_random_value"], status=status)
    assert box.check(p["id"]).status == 400


@pytest.mark.parametrize(
    "status, target, good",
    [
        (301, "http://www.redir.example/x", True),
        (302, "/x", True),
        (307, "http://other.redir.example/x", True),
        (308, "http://redir.example:80/x", True),
        (303, "http://redir.example/x", False),
        (302, "http://elsewhere.example/x", True),  # the last two labels differ: see below
        (302, "http://redir.example:8080/x", False),
        (302, "ftp://redir.example/x", False),
        (302, "http://user@redir.example/x", False),
        (302, "http://127.0.0.1/x", False),
    ],
)
def test_redirects(box, web, status, target, good):
    p = box.placed(["redir.example"])
    host = urllib.parse.urlsplit(target).hostname or "redir.example"
    if host == "elsewhere.example":
        good = False
    web.redirect("redir.example", target, status)
    for h in (host, f"{host}:80", f"{host}:8080"):
        web.put(h, p["dcv_random_value"], path="/x")
    assert (box.check(p["id"]).status == 200) == good


@pytest.mark.parametrize("hops, good", [(5, True), (6, False)])
def test_redirect_chains(box, web, hops, good):
    p = box.placed(["hops.example"])
    web.redirect("hops.example", "/h1")
    for i in range(1, hops):
        web.redirect("hops.example", f"/h{i + 1}", path=f"/h{i}")
    web.put("hops.example", p["dcv_random_value"], path=f"/h{hops}")
    assert (box.check(p["id"]).status == 200) == good


def test_value_in_the_redirect_proves_nothing(box, web):
    p = box.placed(["echo.example"])
    web.redirect("echo.example", f"/x?{p['dcv_random_value']}")
    web.put("echo.example", p["dcv_random_value"], path=f"/x?{p['dcv_random_value']}")
    assert box.check(p["id"]).status == 400


def test_redirect_to_https(start, web, tmp_path):
    """The certificate over there is not looked at, as DigiCert does not."""
    key = key_of("ec")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "any")])
    now = datetime.datetime.utcnow()
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(1))
    (tmp_path / "web.pem").write_text(pem(builder.sign(key, hashes.SHA256())) + key_pem(key))
    secure = Web()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "web.pem")
    secure.server.socket = context.wrap_socket(secure.server.socket, server_side=True)
    try:
        box = start("--https-port", secure.port)
        p = box.placed(["tls.example"])
        web.redirect("tls.example", f"https://tls.example{PATH}", 301)
        secure.put("tls.example", p["dcv_random_value"])
        assert box.check(p["id"]).status == 200
    finally:
        secure.stop()


def test_no_web_server(start, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        box = start("--http-port", s.getsockname()[1])
        assert box.check(box.placed(["none.example"])["id"]).code == "file_random_value_not_found"


def test_final_orders_are_not_validated(box, web):
    p = box.placed(["final.example"])
    web.put("final.example", p["dcv_random_value"])
    box.admin("POST", f"orders/{p['id']}", {"status": "rejected"})
    assert box.check(p["id"]).code == "invalid_order_status"
    assert box.token(p["id"]).code == "invalid_order_status"
    assert box.ledger(p["id"])["validated"] == []


def test_ca_looks_by_itself(start, web):
    box = start("--ca-poll", "1s")
    p = box.placed(["self.example"])
    web.put("self.example", p["dcv_random_value"])
    box.wait(p["id"], "issued")
    assert box.admin("GET", "counts")["check"] == 0
    idle = box.placed(["self2.example"])
    box.advance(11 * DAY)  # the CA gives up after 10 days
    fetches = len(web.asked)
    web.put("self2.example", idle["dcv_random_value"])
    box.advance(60)
    third = box.placed(["self3.example"])
    web.put("self3.example", third["dcv_random_value"])
    box.advance(2)
    box.wait(third["id"], "issued")
    assert box.ledger(idle["id"])["status"] == "pending"
    assert all(a[0] != "self2.example" for a in web.asked[fetches:])


def test_issue_delay(start, web):
    box = start("--issue-delay", "1h")
    p = box.placed(["delay.example"])
    web.put("delay.example", p["dcv_random_value"])
    assert box.check(p["id"]).json["order_status"] == "pending"
    assert box.ledger(p["id"])["validated"] == ["delay.example"]
    assert box.download(p["certificate_id"]).code == "not_found|certificate"
    assert box.changes().json == {}
    box.advance(3601)
    assert box.changes().json["orders"][0]["status"] == "issued"
    box.admin("POST", "settings", {"issue_delay_s": 1})
    p = box.placed(["delay2.example"])
    web.put("delay2.example", p["dcv_random_value"])
    assert box.check(p["id"]).json["order_status"] == "pending"
    box.wait(p["id"], "issued")


# --- certificates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ec", "rsa", "p384"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_leaf(box, kind, digest):
    names = ["leaf.example", "www.leaf.example", "*.x.leaf.example"]
    top = {"dcv_method": "dns-txt-token"}
    p = box.placed(names, csr_of(kind), top=top, cert={"signature_hash": digest})
    box.issue(p["id"])
    leaf, intermediate, root = split_pem(box.download(p["certificate_id"]).body)
    now = box.admin("GET", "clock")["now_s"]
    assert -60 < utc(leaf.not_valid_before) - now < 0
    assert abs(utc(leaf.not_valid_after) - now - 199 * DAY) < 60
    assert sans(leaf) == names
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == names[0]
    ext = leaf.extensions
    assert list(ext.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert ext.get_extension_for_class(x509.BasicConstraints).value.ca is False
    aki = ext.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert aki == intermediate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    usage = ext.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.key_encipherment == (kind == "rsa")
    policies = ext.get_extension_for_class(x509.CertificatePolicies).value
    assert policies[0].policy_identifier.dotted_string == "2.23.140.1.2.1"
    assert leaf.serial_number.bit_length() in (127, 128) and leaf.signature_hash_algorithm.name == digest
    assert signed_by(leaf, intermediate) and signed_by(intermediate, root)
    assert leaf.public_key().public_numbers() == key_of(kind).public_key().public_numbers()


def test_long_name_and_validity_options(start):
    box = start("--validity", "90s")
    name = "x" * 60 + ".example.example"
    p = box.placed([name])
    box.issue(p["id"])
    leaf = split_pem(box.download(p["certificate_id"]).body)[0]
    assert not leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert 85 <= (leaf.not_valid_after - leaf.not_valid_before).total_seconds() <= 100
    box.admin("POST", "settings", {"validity_s": 100 * DAY})
    p = box.placed([name], cert={"cert_validity": {"days": 30}})
    box.issue(p["id"])
    leaf = split_pem(box.download(p["certificate_id"]).body)[0]
    assert (leaf.not_valid_after - leaf.not_valid_before).days == 30


def test_download_formats(box):
    p = box.placed(["down.example"])
    a = box.download(p["certificate_id"])
    assert (a.status, a.code) == (404, "not_found|certificate")
    box.issue(p["id"])
    chain = {f: split_pem(box.download(p["certificate_id"], f).body) for f in ("pem_all", "pem_noroot")}
    assert len(chain["pem_all"]) == 3 and chain["pem_noroot"] == chain["pem_all"][:2]
    assert split_pem(box.download(p["certificate_id"], "pem_nointermediate").body) == chain["pem_all"][:1]
    body = box.download(p["certificate_id"]).body
    assert body.endswith(b"-----END CERTIFICATE-----\r\n") and body.count(b"\n") == body.count(b"\r\n") > 10
    assert box.download(p["certificate_id"]).body == body
    assert box.download(p["certificate_id"], "p7b").code == "invalid_field|format"


# --- status changes ----------------------------------------------------------------------------------


def test_changes(start, web):
    box = start("--rate", "off")
    assert box.changes().json == {}
    ids = [box.placed([f"c{i}.example"])["id"] for i in range(3)]
    assert box.changes().json == {}, "being born is no change"
    for i in ids:
        box.admin("POST", f"orders/{i}", {"status": "rejected"})
    a = box.changes().json
    assert [o["order_id"] for o in a["orders"]] == ids
    assert all(set(o) == {"order_id", "certificate_id", "status"} for o in a["orders"])
    assert a["page"] == {"total": 3, "limit": 1000, "offset": 0}
    page = box.changes("minutes=10&limit=2&offset=2").json
    assert [o["order_id"] for o in page["orders"]] == ids[2:] and page["page"]["total"] == 3
    assert box.changes("minutes=10&offset=9").json["orders"] == []
    box.advance(3600)
    assert box.changes("minutes=59").json == {}
    assert len(box.changes("minutes=61").json["orders"]) == 3
    assert len(box.changes("seconds=3700").json["orders"]) == 3
    assert len(box.changes("minutes=59&seconds=120").json["orders"]) == 3
    box.admin("POST", f"orders/{ids[0]}", {"status": "pending"})
    assert box.changes("minutes=5").json["orders"] == [
        {"order_id": ids[0], "certificate_id": box.ledger(ids[0])["certificate_id"], "status": "pending"}
    ]


def test_changes_limits(box):
    assert box.changes("minutes=10080").status == 200
    assert box.changes("seconds=604800").status == 200
    for q in ("minutes=10081", "seconds=604801", "minutes=10080&seconds=1", "minutes=99999999999999999"):
        assert (box.changes(q).status, box.changes(q).code) == (400, "time_frame_too_long"), q
    assert box.changes("limit=5").code == "missing_field|minutes"
    assert box.changes("minutes=ten").code == "invalid_field|minutes"
    assert box.changes("minutes=-1").code == "invalid_field|minutes"
    assert box.changes("minute=10").code == "unknown_field|minute"
    assert box.changes("minutes=10&limit=1001").code == "invalid_field|limit"


def test_changes_by_mountain_time(start):
    box = start()
    oid = box.placed(["mdt.example"])["id"]
    box.admin("POST", f"orders/{oid}", {"status": "rejected"})
    mdt = datetime.datetime.utcfromtimestamp(box.admin("GET", "clock")["now_s"]) - datetime.timedelta(hours=6)

    def ask(start_, end):
        q = urllib.parse.urlencode({"filters[status_last_updated]": f"{start_}...{end}"})
        return box.changes(q)

    def stamp(minutes):
        return (mdt + datetime.timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")

    assert ask(stamp(-1), stamp(1)).json["orders"][0]["order_id"] == oid
    assert ask(stamp(-3), stamp(-2)).json == {}
    assert ask(mdt.date(), mdt.date()).json["orders"][0]["order_id"] == oid
    assert ask("yesterday", "today").code == "invalid_field|filters[status_last_updated]"


# --- rate windows ------------------------------------------------------------------------------------


def test_rate_window(start):
    box = start("--rate", "3/60s")
    for _ in range(3):
        assert box.find("x").status == 404
    a = box.find("x")
    assert a.status == 429 and a.body == (
        b'{"errors":[{"code":"request_limit_exceeded",'
        b'"message":"Service unavailable, please limit request volume"}]}'
    )
    assert box.order(["r.example"]).status == 429 and box.orders() == []
    assert box.call("GET", "/services/v2/order/alternate/x", key="other").status == 403
    assert box.push({}).status == 400, "Scutum is another house"
    counts = box.admin("GET", "counts")
    assert counts["429"] == 2 and counts["find"] == 5 and counts["order"] == 1
    box.advance(59)
    assert box.find("x").status == 429
    box.advance(1)
    assert box.find("x").status == 404, "refused requests do not count"
    box.admin("POST", "settings", {"rates": []})
    assert all(box.find("x").status == 404 for _ in range(10))


def test_two_windows_roll(start):
    box = start("--rate", "2/10s", "--rate", "3/100s")
    assert [box.find("x").status for _ in range(3)] == [404, 404, 429]
    box.advance(10)
    assert [box.find("x").status for _ in range(2)] == [404, 429]
    box.advance(89)
    assert box.find("x").status == 429
    box.advance(1)
    assert [box.find("x").status for _ in range(3)] == [404, 404, 429]


def test_default_rates(start):
    box = start()
    assert box.admin("GET", "settings")["rates"] == [
        {"requests": 100, "per_s": 5},
        {"requests": 1000, "per_s": 180},
    ]


# --- faults ------------------------------------------------------------------------------------------

GARBAGE = b"\x01\x02<html>"


def callers(box, web):
    """Each endpoint by name: a call that succeeds."""
    p = box.placed(["faulty.example"], top={"alternative_order_id": "faulty"})
    web.put("faulty.example", p["dcv_random_value"])
    issued = box.placed(["faulty2.example"])
    box.issue(issued["id"])
    leaf, intermediate, _ = split_pem(box.download(issued["certificate_id"]).body)
    push = {"cert": pem(leaf), "key": key_pem(key_of("ec")), "im": pem(intermediate)}
    return {
        "order": lambda: box.order(["faulty3.example"]),
        "find": lambda: box.find("faulty"),
        "info": lambda: box.info(p["id"]),
        "token": lambda: box.token(p["id"]),
        "check": lambda: box.check(p["id"]),
        "changes": lambda: box.changes(),
        "download": lambda: box.download(issued["certificate_id"]),
        "scutum": lambda: box.push(push),
    }


ENDPOINTS = ["order", "find", "info", "token", "check", "changes", "download", "scutum"]


def effect(box):
    """What can change by a call."""
    return (
        len(box.orders()),
        sum(len(o["validated"]) for o in box.orders()),
        len(box.admin("GET", "scutum")["pushes"]),
    )


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_faults_at_every_endpoint(box, web, endpoint):
    call = callers(box, web)[endpoint]
    box.admin("DELETE", "requests")
    changes_things = endpoint in ("order", "check", "scutum")
    before = effect(box)

    box.fault(endpoint, "status", retry_after=7)
    a = call()
    assert a.status == 503 and a.headers["Retry-After"] == "7"
    assert (a.json["error"] if endpoint == "scutum" else a.code) in ("service_unavailable", "Service is unavailable")
    box.fault(endpoint, "status", status=500, code="odd|thing", message="Why not")
    a = call()
    said = a.json if endpoint == "scutum" else a.json["errors"][0]
    assert a.status == 500 and "Retry-After" not in a.headers and "odd|thing" in said.values()
    assert "Why not" in said.values()

    box.fault(endpoint, "drop-before")
    with pytest.raises((http.client.HTTPException, OSError)):
        call()
    assert effect(box) == before

    box.fault(endpoint, "drop-after")
    with pytest.raises((http.client.HTTPException, OSError)):
        call()
    assert (effect(box) != before) == changes_things

    box.fault(endpoint, "truncate")
    with pytest.raises((http.client.IncompleteRead, ssl.SSLError, ConnectionError)) as caught:
        call()
    if isinstance(caught.value, http.client.IncompleteRead) and endpoint != "changes":
        assert len(caught.value.partial) > 0

    box.fault(endpoint, "garbage")
    a = call()
    assert a.status == 200 and a.body.startswith(GARBAGE)

    box.fault(endpoint, "delay", delay_ms=120)
    begun = time.monotonic()
    assert call().status in (200, 201)
    assert time.monotonic() - begun >= 0.12
    assert call().status in (200, 201)

    log = box.admin("GET", "requests")["requests"]
    assert [r["fault"] for r in log] == [
        "status", "status", "drop-before", "drop-after", "truncate", "garbage", "delay", None,
    ]  # fmt: skip
    assert [r["status"] for r in log][:4] == [503, 500, 0, 0]
    assert [r["n"] for r in log] == list(range(log[0]["n"], log[0]["n"] + 8))
    assert all(r["endpoint"] == endpoint for r in log)


def test_truncated_body_has_the_full_length(box):
    p = box.placed(["cut.example"])
    box.issue(p["id"])
    whole = box.download(p["certificate_id"]).body
    box.fault("download", "truncate")
    with pytest.raises(http.client.IncompleteRead) as caught:
        box.download(p["certificate_id"])
    assert caught.value.partial == whole[: len(whole) // 2]
    assert caught.value.expected == len(whole) - len(whole) // 2


def test_fault_times_skip_and_star(box):
    box.fault("find", "status", times=2, skip=1, status=500)
    assert [box.find("x").status for _ in range(5)] == [404, 500, 500, 404, 404]
    box.fault("*", "status", times=0, status=502)
    assert [box.find("x").status, box.changes().status, box.push({}).status] == [502, 502, 502]
    assert box.call("GET", "/nowhere").status == 502
    left = box.admin("GET", "faults")["faults"]
    assert left == [{"endpoint": "*", "kind": "status", "times": 0, "skip": 0}]
    box.admin("DELETE", "faults")
    assert box.find("x").status == 404
    box.fault("find", "status", status=500)
    box.fault("find", "status", status=501)
    assert [box.find("x").status for _ in range(3)] == [500, 501, 404]
    box.fault("other", "status", status=500)
    assert [box.find("x").status, box.call("GET", "/nowhere").status] == [404, 500]


def test_fault_429_and_before_the_key(box):
    box.fault("find", "status", status=429, times=2, retry_after="Sat, 21 Nov 2026 08:00:00 GMT")
    a = box.find("x")
    assert a.code == "request_limit_exceeded" and a.headers["Retry-After"].startswith("Sat, ")
    assert box.call("GET", "/services/v2/order/alternate/x", key="wrong").status == 429
    assert box.admin("GET", "counts")["429"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {"endpoint": "order"},
        {"kind": "delay"},
        {"endpoint": "orders", "kind": "delay"},
        {"endpoint": "order", "kind": "none"},
        {"endpoint": "order", "kind": "status", "status": "500"},
        {"endpoint": "order", "kind": "status", "status": 99},
        {"endpoint": "order", "kind": "status", "times": -1},
        {"endpoint": "order", "kind": "status", "retry_after": "a\r\nb: c"},
        {"endpoint": "order", "kind": "status", "extra": 1},
        {"endpoint": "order", "kind": "status", "code": 1},
        {"endpoint": "order", "kind": "status", "times": 1.5},
        {"endpoint": "order", "kind": "wrong-cert", "variant": "ca"},
        {"endpoint": "download", "kind": "wrong-cert", "variant": "x"},
    ],
)
def test_bad_faults(box, body):
    a = box.call("POST", "/sandbox/faults", body)
    assert (a.status, a.code) == (400, "invalid_fault"), a.body
    assert box.admin("GET", "faults")["faults"] == []


def test_fault_options(start):
    box = start("--fault", "find:status:status=500:times=2:code=a|b", "--fault", "changes:drop-before")
    assert [box.find("x").status for _ in range(3)] == [500, 500, 404]
    with pytest.raises((http.client.HTTPException, OSError)):
        box.changes()
    assert box.changes().status == 200


def test_wrong_certificates(box):
    p = box.placed(["wrong.example"])
    box.issue(p["id"])
    right, intermediate, root = split_pem(box.download(p["certificate_id"]).body)
    ours = right.public_key().public_numbers()
    now = datetime.datetime.utcnow()

    def get(variant):
        box.fault("*", "wrong-cert", variant=variant)
        assert box.info(p["id"]).status == 200, "only downloads take it"
        return box.download(p["certificate_id"])

    def chain(variant):
        certs = split_pem(get(variant).body)
        assert certs[1:] == ([] if variant in ("self-signed", "no-chain") else [intermediate, root])
        return certs[0]

    other = chain("other-key")
    assert other.public_key().public_numbers() != ours and sans(other) == ["wrong.example"]
    expired = chain("expired")
    assert expired.not_valid_after < now and expired.public_key().public_numbers() == ours
    assert signed_by(expired, intermediate)
    names = chain("other-names")
    assert "wrong.example" not in sans(names) and names.public_key().public_numbers() == ours
    lone = chain("self-signed")
    assert lone.issuer == lone.subject and lone.public_key().public_numbers() == ours
    assert chain("no-chain") == right
    authority = chain("ca")
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    archive = get("zip")
    assert archive.body.startswith(b"PK") and archive.headers["Content-Type"] == "application/zip"
    assert split_pem(box.download(p["certificate_id"]).body) == [right, intermediate, root]
    box.fault("download", "wrong-cert", variant="other-key")
    assert len(split_pem(box.download(p["certificate_id"], "pem_noroot").body)) == 2


# --- Scutum ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def issued(shared):
    def make(kind):
        shared.admin("DELETE", "faults")
        p = shared.placed([f"{kind}.example", f"www.{kind}.example"], csr_of(kind))
        shared.issue(p["id"])
        return [pem(c) for c in split_pem(shared.download(p["certificate_id"]).body)]

    return {k: make(k) for k in ("rsa", "ec", "p384")}


@pytest.mark.parametrize("kind", ["rsa", "ec", "p384"])
@pytest.mark.parametrize("password", [None, b"pass phrase"])
def test_scutum_accepts(box, issued, kind, password):
    leaf, intermediate, _ = issued[kind]
    before = len(box.admin("GET", "scutum")["pushes"])
    body = {"cert": leaf, "key": key_pem(key_of(kind), password), "im": intermediate}
    if password:
        body["password"] = password.decode()
    for im in (intermediate, [intermediate], intermediate.rstrip("\n")):
        a = box.push({**body, "im": im})
        assert (a.status, a.json) == (200, {"status": "ok"}), a.body
    pushes = box.admin("GET", "scutum")["pushes"][before:]
    assert len(pushes) == 3
    serial = f"{x509.load_pem_x509_certificate(leaf.encode()).serial_number:X}"
    assert pushes[0].pop("at").endswith("Z")
    assert pushes[0] == {
        "host": "www.example.jp", "id": "ABC1234", "serial": serial,
        "names": [f"{kind}.example", f"www.{kind}.example"], "intermediates": 1,
        "encrypted_key": bool(password), "status": 200,
    }  # fmt: skip


def pkcs8(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


SCUTUM_REFUSALS = {
    "no cert": ("Invalid Cert", lambda b, c: b.pop("cert")),
    "cert rubbish": ("Invalid Cert", lambda b, c: b.update(cert="rubbish")),
    "cert CRLF": ("Invalid Cert", lambda b, c: b.update(cert=c[0].replace("\n", "\r\n"))),
    "cert in one line": ("Invalid Cert", lambda b, c: b.update(cert=c[0].replace("\n", ""))),
    "cert with chain": ("Invalid Cert", lambda b, c: b.update(cert=c[0] + c[1])),
    "cert with text": ("Invalid Cert", lambda b, c: b.update(cert="subject=x\n" + c[0])),
    "cert trailing text": ("Invalid Cert", lambda b, c: b.update(cert=c[0] + "x")),
    "cert is a key": ("Invalid Cert", lambda b, c: b.update(cert=b["key"])),
    "no key": ("Invalid Key", lambda b, c: b.pop("key")),
    "key PKCS8": ("Invalid Key", lambda b, c: b.update(key=pkcs8(key_of("rsa")))),
    "key CRLF": ("Invalid Key", lambda b, c: b.update(key=b["key"].replace("\n", "\r\n"))),
    "key twice": ("Invalid Key", lambda b, c: b.update(key=b["key"] * 2)),
    "key locked": ("Invalid Key", lambda b, c: b.update(key=key_pem(key_of("rsa"), b"x"))),
    "wrong password": ("Invalid Key", lambda b, c: b.update(key=key_pem(key_of("rsa"), b"x"), password="y")),
    "no im": ("Invalid IM", lambda b, c: b.pop("im")),
    "im empty": ("Invalid IM", lambda b, c: b.update(im="")),
    "im empty list": ("Invalid IM", lambda b, c: b.update(im=[])),
    "im CRLF": ("Invalid IM", lambda b, c: b.update(im=c[1].replace("\n", "\r\n"))),
    "im with root": ("Invalid IM", lambda b, c: b.update(im=[c[1], c[2]])),
    "im joined with root": ("Invalid IM", lambda b, c: b.update(im=c[1] + c[2])),
    "im is root": ("Invalid IM", lambda b, c: b.update(im=c[2])),
    "im is leaf": ("Invalid IM", lambda b, c: b.update(im=c[0])),
    "im twice": ("Invalid IM", lambda b, c: b.update(im=[c[1], c[1]])),
    "im rubbish": ("Invalid IM", lambda b, c: b.update(im=["rubbish"])),
    "other key": ("Key And Cert Not Match", lambda b, c: b.update(key=key_pem(key_of("ec")))),
    "number": ("Invalid JSON Type", lambda b, c: b.update(cert=1)),
    "im number": ("Invalid JSON Type", lambda b, c: b.update(im=[1])),
    "unknown field": ("Invalid JSON Type", lambda b, c: b.update(chain="x")),
}


@pytest.mark.parametrize("case", SCUTUM_REFUSALS)
def test_scutum_refuses(box, issued, case):
    error, change = SCUTUM_REFUSALS[case]
    body = {"cert": issued["rsa"][0], "key": key_pem(key_of("rsa")), "im": issued["rsa"][1]}
    change(body, issued["rsa"])
    before = len(box.admin("GET", "scutum")["pushes"])
    a = box.push(body)
    assert (a.status, a.json["error"]) == (400, error), a.body
    assert set(a.json) == {"error_on", "error_id", "error"}
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", a.json["error_id"])
    assert len(box.admin("GET", "scutum")["pushes"]) == before


def test_scutum_requests(box):
    assert box.push({}, method="PUT").json["error"] == "Invalid Method"
    assert box.call("GET", "/api/v1/update_cert").json["error"] == "Invalid Method"
    assert box.push("{}", kind="text/plain").json["error"] == "Invalid Content Type"
    for text in ("[]", '"x"', "", "{", "{'cert':1}"):
        a = box.push(text)
        assert (a.status, a.json["error"]) == (400, "Invalid JSON Type"), text
    assert box.push({}, key="wrong").status == 401
    assert box.push({}, query="id=ABC1234").status == 401
    assert box.push({}, query="host=www.example.jp").status == 401
    assert box.call("POST", "/api/v1/update_cert?host=a&id=b", {}).status == 401
    assert box.call("POST", "/api/v1/update_certs?host=a&id=b", {}).status == 404


def test_scutum_accounts(start, tmp_path):
    (tmp_path / "one").write_text("key-one\n")
    (tmp_path / "two").write_text("key-two")
    box = start("--scutum", f"one.example:A1:{tmp_path}/one", "--scutum", f"two.example:B2:{tmp_path}/two")
    assert not (box.dir / "scutum-api-key").exists()
    for host, panel, key, status in [
        ("one.example", "A1", "key-one", 400),
        ("two.example", "B2", "key-two", 400),
        ("one.example", "A1", "key-two", 401),
        ("one.example", "B2", "key-one", 401),
        ("three.example", "A1", "key-one", 401),
    ]:
        assert box.push({}, query=f"host={host}&id={panel}", key=key).status == status


def test_scutum_push_that_was_dropped(box, issued):
    leaf, intermediate, _ = issued["ec"]
    box.fault("scutum", "drop-after")
    with pytest.raises((http.client.HTTPException, OSError)):
        box.push({"cert": leaf, "key": key_pem(key_of("ec")), "im": intermediate})
    assert box.admin("GET", "scutum")["pushes"][-1]["status"] == 0


# --- admin -------------------------------------------------------------------------------------------


def test_admin_orders(box, web):
    p = box.placed(["adm.example"], top={"alternative_order_id": "r1"})
    o = box.ledger(p["id"])
    assert o.pop("created_at").endswith("Z")
    assert [c["status"] for c in o.pop("certificates")] == ["pending"]
    assert o == {
        "order_id": p["id"], "certificate_id": p["certificate_id"], "status": "pending",
        "product": "cloud_dv_geotrust", "common_name": "adm.example", "dns_names": ["adm.example"],
        "alternative_order_id": "r1", "dcv_method": "http-token", "dcv_token": p["dcv_random_value"],
        "issued_at": None, "serial": None, "validated": [], "kind": "new", "valid_till": None,
        "reissues": 0, "duplicates": 0, "revoked": [], "dcv_emails": None,
    }  # fmt: skip
    o = box.issue(p["id"])
    assert o["status"] == "issued" and o["issued_at"].endswith("Z") and o["validated"] == []
    assert o["serial"] == box.info(p["id"]).json["certificate"]["serial_number"]
    again = box.issue(p["id"])
    assert again["serial"] == o["serial"]
    assert box.admin("POST", f"orders/{p['id']}", {"status": "a_word_nobody_knows"})["status"] == "a_word_nobody_knows"
    assert box.info(p["id"]).json["status"] == "a_word_nobody_knows"
    assert box.issue(p["id"])["status"] == "issued"
    for body in ({}, {"status": "x", "action": "issue"}, {"action": "burn"}, {"action": "approve"}, {"status": "No Word"}, {"state": "x"}, []):
        assert box.call("POST", f"/sandbox/orders/{p['id']}", body).status == 400, body
    assert box.call("POST", "/sandbox/orders/1", {"action": "issue"}).status == 404


def test_issued_word_without_certificate(box):
    """The race right after `issued`: the word is there, the certificate not yet."""
    p = box.placed(["race.example"])
    box.admin("POST", f"orders/{p['id']}", {"status": "issued"})
    assert box.info(p["id"]).json["status"] == "issued"
    assert box.download(p["certificate_id"]).status == 404
    box.issue(p["id"])
    assert box.download(p["certificate_id"]).status == 200


def test_pending_again_with_certificate(box, web):
    p = box.placed(["again.example"])
    web.put("again.example", p["dcv_random_value"])
    assert box.check(p["id"]).json["order_status"] == "issued"
    box.admin("POST", f"orders/{p['id']}", {"status": "pending"})
    assert box.info(p["id"]).json["status"] == "pending"
    box.advance(1)
    assert box.ledger(p["id"])["status"] == "pending"


def test_admin_requests(box):
    box.find("a?b")
    first = box.admin("GET", "requests")["requests"]
    assert len(first) == 1 and first[0]["method"] == "GET" and first[0]["at"].endswith("Z")
    assert first[0]["path"] == "/services/v2/order/alternate/a%3Fb"
    box.admin("DELETE", "requests")
    assert box.admin("GET", "requests")["requests"] == []
    assert set(box.admin("GET", "counts").values()) == {0}
    box.changes("minutes=5")
    assert box.admin("GET", "requests")["requests"][0]["path"].endswith("status-changes?minutes=5")


def test_admin_clock(box):
    assert box.admin("GET", "clock")["offset_s"] == 0
    assert box.admin("POST", "clock", {"offset_s": 691200})["offset_s"] == 691200
    assert box.advance(60)["offset_s"] == 691260
    assert abs(box.admin("GET", "clock")["now_s"] - time.time() - 691260) < 5
    assert box.find("x").status == 404, "TLS does not mind"
    assert box.admin("POST", "clock", {"offset_s": -10 * 365 * DAY})["now"].startswith("201")
    p = box.placed(["past.example"])
    box.issue(p["id"])
    assert split_pem(box.download(p["certificate_id"]).body)[0].not_valid_before.year < 2018
    for body in ({"offset": 1}, {"offset_s": "1"}, {"advance_s": 10**12}, {"offset_s": -(10**12)}):
        assert box.call("POST", "/sandbox/clock", body).status == 400


def test_admin_settings(box):
    new = {
        "issue_delay_s": 5, "validity_s": 90, "ca_poll_s": 7, "dcv_replies": "old", "find_none": "empty",
        "find_lag_s": 9, "max_cert_days": 99, "old_revoke_s": 8, "approval": "required", "reissue_dcv": "reuse",
        "lists": "primary", "revoke_approval": "always", "approver": "other", "key_role": "user",
        "key_scope": "orders", "use_auth_key": "old", "auth_keys": "one", "order_valid_till": "absent",
        "instant_reissue": "yes", "method_value": "same", "csr_spelling": "body", "token_days": 2,
        "revocation": "garbage", "revocation_life_s": 1,
        "rates": [{"requests": 1000, "per_s": 1}],
    }  # fmt: skip
    assert set(new) == {*SETTINGS, "rates"}
    assert box.admin("POST", "settings", new) == new
    assert box.admin("GET", "settings") == new
    assert box.admin("POST", "settings", {}) == new
    for body in (
        {"issue_delay": 1},
        {"issue_delay_s": -1},
        {"validity_s": 0},
        {"dcv_replies": "newer"},
        {"find_none": "nothing"},
        {"find_none": 404},
        {"approval": True},
        {"max_cert_days": "99"},
        {"rates": {}},
        {"rates": [{"requests": 0, "per_s": 1}]},
        {"rates": [{"requests": 1}]},
        {"rates": [7]},
        {"validity_s": 5, "rates": [{"requests": 1, "per_s": 1}] * 9},
    ):
        assert box.call("POST", "/sandbox/settings", body).status == 400, body
    assert box.admin("GET", "settings") == new


def test_unknown_admin_calls(box):
    for method, what in (("GET", ""), ("GET", "order"), ("DELETE", "orders"), ("PUT", "clock"), ("GET", "orders/1/2")):
        assert box.call(method, f"/sandbox/{what}").status == 404
    assert box.admin("GET", "counts")["other"] == 0


# --- the process -------------------------------------------------------------------------------------


def test_stops_while_calls_wait(start, web):
    """SIGTERM ends sleeping requests and the looks of the CA."""
    box = start("--fault", "find:delay:delay_ms=600000")
    c = box.connect()
    c.request("GET", "/services/v2/order/alternate/x", headers={"X-DC-DEVKEY": box.key})
    end = time.monotonic() + 10
    while not box.admin("GET", "requests")["requests"] and time.monotonic() < end:
        time.sleep(0.01)
    begun = time.monotonic()
    assert box.stop() == 0
    assert time.monotonic() - begun < 5
    c.close()


def test_hanging_web_server_blocks_nobody(start, tmp_path):
    """A look that hangs holds no lock, and does not delay the end."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        hanging.settimeout(10)
        box = start("--http-port", hanging.getsockname()[1])
        p = box.placed(["hang.example"])
        c = box.connect()
        path = f"/services/v2/order/certificate/{p['id']}/check-dcv"
        c.request("PUT", path, headers={"X-DC-DEVKEY": box.key})
        peer, _ = hanging.accept()
        assert peer.recv(4096).startswith(b"GET " + PATH.encode())
        assert box.info(p["id"]).status == 200
        assert box.placed(["next.example"])["id"] == p["id"] + 1
        assert box.admin("GET", "requests")["requests"][1]["status"] == 0
        begun = time.monotonic()
        assert box.stop() == 0
        assert time.monotonic() - begun < 4
        peer.close()
        c.close()


def test_many_at_once(box, web):
    """Threads that order, prove and read at the same time."""
    errors = []

    def customer(n):
        try:
            c = box.connect()
            for i in range(10):
                name = f"c{n}-{i}.many.example"
                path = "/services/v2/order/certificate/cloud_dv_geotrust"
                p = box.call("POST", path, order_body([name]), connection=c).json
                web.put(name, p["dcv_random_value"])
                path = f"/services/v2/order/certificate/{p['id']}/check-dcv"
                assert box.call("PUT", path, connection=c).json["order_status"] == "issued"
                down = box.call(
                    "GET", f"/services/v2/certificate/{p['certificate_id']}/download/format/pem_all", connection=c
                )
                assert sans(split_pem(down.body)[0]) == [name]
            c.close()
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)

    csr_of()
    threads = [threading.Thread(target=customer, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    assert box.admin("GET", "counts")["order"] == 80


def test_garbage_connections(box):
    """Broken TLS and broken HTTP harm nobody."""
    with socket.create_connection(("127.0.0.1", box.port)) as s:
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    with box.tls.wrap_socket(socket.create_connection(("127.0.0.1", box.port)), server_hostname="localhost") as s:
        s.sendall(b"\0\0\0rubbish\r\n\r\n")
    with box.tls.wrap_socket(socket.create_connection(("127.0.0.1", box.port)), server_hostname="localhost") as s:
        s.sendall(b"POST /sandbox/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert box.find("x").status == 404
