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
        self.key = (self.dir / "api-key").read_text().strip()
        self.scutum_key = (self.dir / "scutum-api-key").read_text().strip()
        self.connection = None

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
    def push(self, body, query="host=www.example.jp&id=ABC1234", method="POST", key=None, content_type="application/json"):
        head = {"X-Scutum-API-Key": key or self.scutum_key, "Content-Type": content_type}
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


@pytest.fixture
def box(shared):
    """The shared sandbox, put back to its defaults."""
    shared.admin("DELETE", "faults")
    shared.admin("DELETE", "requests")
    shared.admin("POST", "clock", {"offset_s": 0})
    settings = {"issue_delay_s": 0, "validity_s": 199 * DAY, "ca_poll_s": 0, "find_lag_s": 0, "rates": []}
    shared.admin("POST", "settings", {**settings, "dcv_replies": "new", "find_none": "404"})
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
    assert counts == {
        "order": 1, "find": 1, "info": 1, "token": 1, "check": 2, "changes": 1, "download": 1, "scutum": 1,
        "429": 0, "other": 0,
    }  # fmt: skip
    log = box.admin("GET", "requests")["requests"]
    assert [r["endpoint"] for r in log] == [
        "order", "token", "find", "check", "check", "changes", "info", "download", "scutum",
    ]  # fmt: skip
    assert [r["status"] for r in log] == [201, 200, 200, 400, 200, 200, 200, 200, 200]
    assert all(r["fault"] is None for r in log)
