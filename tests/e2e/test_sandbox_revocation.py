# SPDX-License-Identifier: Apache-2.0
"""dvcert-sandbox, what it tells everybody about revoked certificates (docs/SANDBOX.md), asked with the tools of OpenSSL. Tools
and fixtures are those of test_sandbox.py."""

import base64
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID
from test_sandbox import BINARY, csr_of, pem, split_pem, start, utc, web  # noqa: F401 - fixtures

BASE = "/services/v2"


@pytest.fixture
def box(start):  # noqa: F811
    return start("--pki-http", "127.0.0.1:0", "--rate", "off", "--ca-poll", "0s")


class Issued:
    """One certificate, its issuer and its addresses; the files are for openssl(1)."""

    def __init__(self, box, name, folder):
        placed = box.placed([name])
        box.issue(placed["id"])
        self.box, self.order_id, self.id = box, placed["id"], placed["certificate_id"]
        self.leaf, self.issuer, self.root = split_pem(box.download(self.id).body)
        access = self.leaf.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
        points = self.leaf.extensions.get_extension_for_oid(ExtensionOID.CRL_DISTRIBUTION_POINTS).value
        assert [a.access_method for a in access] == [AuthorityInformationAccessOID.OCSP]
        self.ocsp_url = access[0].access_location.value
        (point,) = points
        self.crl_url = point.full_name[0].value
        self.files = {}
        for what in ("leaf", "issuer", "root"):
            path = folder / f"{name}-{what}.pem"
            path.write_text(pem(getattr(self, what)))
            self.files[what] = str(path)

    def revoke(self, **body):
        path = f"{BASE}/certificate/{self.id}/revoke"
        a = self.box.call("PUT", path, {"skip_approval": True, **body})
        assert a.status == 204, a.body

    def request(self, algorithm=None):
        builder = ocsp.OCSPRequestBuilder().add_certificate(self.leaf, self.issuer, algorithm or hashes.SHA1())
        return builder.build().public_bytes(serialization.Encoding.DER)


@pytest.fixture
def issue(box, tmp_path):
    return lambda name: Issued(box, name, tmp_path)


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url, body=None, timeout=20):
    """(status, content type, body)"""
    rq = urllib.request.Request(url, data=body, headers={"Content-Type": "application/ocsp-request"} if body else {})
    try:
        with OPENER.open(rq, timeout=timeout) as a:
            return a.status, a.headers["Content-Type"], a.read()
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.headers["Content-Type"], e.read()


def openssl(*args):
    return subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, timeout=60)


def asked(c, *more):
    """openssl ocsp about the leaf: (signature and dates are right, its words)."""
    done = openssl("ocsp", "-issuer", c.files["issuer"], "-cert", c.files["leaf"], "-url", c.ocsp_url,
                   "-CAfile", c.files["root"], "-verify_other", c.files["issuer"], *more)  # fmt: skip
    assert done.returncode == 0, done
    return "Response verify OK" in done.stderr, done.stdout


def crl_of(c, folder):
    status, kind, der = fetch(c.crl_url)
    assert status == 200 and kind == "application/pkix-crl"
    path = folder / "crl.der"
    path.write_bytes(der)
    done = openssl("crl", "-inform", "DER", "-in", path, "-noout", "-text", "-CAfile", c.files["issuer"])
    assert done.returncode == 0 and "verify OK" in done.stderr, done
    return x509.load_der_x509_crl(der), done.stdout


def read_ocsp(c, der=None):
    return ocsp.load_der_ocsp_response(der or fetch(c.ocsp_url, c.request())[2])


def test_good_then_revoked_with_reason(box, issue, tmp_path):
    c, other = issue("rev.example"), issue("other.example")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/ocsp", c.ocsp_url)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/crl/intermediate\.crl", c.crl_url)
    verified, said = asked(c)
    assert verified and ": good\n" in said
    crl, _ = crl_of(c, tmp_path)
    assert len(crl) == 0 and crl.issuer == c.issuer.subject

    before = box.admin("GET", "clock")["now_s"]
    c.revoke(revocation_reason="keyCompromise")
    verified, said = asked(c)
    assert verified and ": revoked\n" in said and "Reason: keyCompromise" in said
    verified, said = asked(other)
    assert verified and ": good\n" in said
    answer = read_ocsp(c)
    assert before <= utc(answer.revocation_time) <= before + 5
    crl, text = crl_of(c, tmp_path)
    (entry,) = crl
    assert entry.serial_number == c.leaf.serial_number and entry.revocation_date == answer.revocation_time
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.key_compromise
    assert "Key Compromise" in text and "X509v3 CRL Number" in text
    assert (box.admin("GET", "counts")["ocsp"], box.admin("GET", "counts")["crl"]) == (4, 2)


def test_reasons(box, issue, tmp_path):
    """Without one, and with "unspecified", nothing is said; the reason of a request is kept until it is approved."""
    quiet, vague, waits = issue("quiet.example"), issue("vague.example"), issue("waits.example")
    quiet.revoke()
    vague.revoke(revocation_reason="unspecified")
    a = box.call("PUT", f"{BASE}/certificate/{waits.id}/revoke", {"revocation_reason": "superseded"})
    assert a.status == 201 and read_ocsp(waits).certificate_status == ocsp.OCSPCertStatus.GOOD
    assert box.call("PUT", f"{BASE}/request/{a.json['id']}/status", {"status": "approved"}).status == 204
    assert [read_ocsp(c).revocation_reason for c in (quiet, vague, waits)] == [None, None, x509.ReasonFlags.superseded]
    crl, _ = crl_of(quiet, tmp_path)
    assert sum(len(entry.extensions) for entry in crl) == 1 and len(crl) == 3
    box.admin("POST", f"orders/{issue('console.example').order_id}", {"action": "revoke"})
    assert len(crl_of(quiet, tmp_path)[0]) == 4


def test_all_ways_to_ask(box, issue):
    c = issue("ways.example")
    for request in (c.request(), c.request(hashes.SHA256())):
        text = urllib.parse.quote(base64.b64encode(request), safe="")
        for answer in (fetch(c.ocsp_url, request), fetch(f"{c.ocsp_url}/{text}")):
            assert answer[:2] == (200, "application/ocsp-response")
            single = ocsp.load_der_ocsp_response(answer[2])
            assert single.certificate_status == ocsp.OCSPCertStatus.GOOD
            assert single.serial_number == c.leaf.serial_number


def test_unknown_and_wrong_requests(box, issue, start, tmp_path):  # noqa: F811
    c = issue("known.example")
    done = openssl("ocsp", "-issuer", c.files["issuer"], "-serial", "0x1234", "-url", c.ocsp_url, "-noverify")
    assert "0x1234: unknown" in done.stdout, done
    foreign = start("--pki-http", "127.0.0.1:0", directory=tmp_path / "foreign")
    d = Issued(foreign, "foreign.example", tmp_path)
    assert read_ocsp(d, fetch(c.ocsp_url, d.request())[2]).response_status == ocsp.OCSPResponseStatus.UNAUTHORIZED
    for bad in (b"\x30\x00", b"no DER at all"):
        assert read_ocsp(c, fetch(c.ocsp_url, bad)[2]).response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    for bad in ("%21%21", "AAAA"):
        malformed = fetch(f"{c.ocsp_url}/{bad}")[2]
        assert read_ocsp(c, malformed).response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    assert fetch(c.crl_url + "x")[0] == 404
    root = c.ocsp_url.removesuffix("/ocsp")
    for path in ("/sandbox/orders", "/services/v2/user/me", "/api/v1/update_cert", "/ocsp", "/crl"):
        assert fetch(root + path)[0] in (401, 404), path


def test_clock(box, issue, tmp_path):
    c = issue("clock.example")
    box.admin("POST", "settings", {"revocation_life_s": 600})
    now = box.advance(5 * 86400)["now_s"]
    answer, (crl, _) = read_ocsp(c), crl_of(c, tmp_path)
    for at in (answer.this_update, answer.produced_at, crl.last_update):
        assert now <= utc(at) <= now + 5
    assert utc(answer.next_update) - utc(answer.this_update) == 600
    assert utc(crl.next_update) - utc(crl.last_update) == 600
    c.revoke()
    assert utc(read_ocsp(c).revocation_time) >= now


def test_names_lost_are_revoked_later(box, issue):
    """A revocation that is to come is none yet."""
    c = issue("lost.example")
    body = {"certificate": {"common_name": "new.example", "csr": csr_of("ec2"),
                            "signature_hash": "sha256", "server_platform": {"id": -1}}, "skip_approval": True}  # fmt: skip
    assert box.call("POST", f"{BASE}/order/certificate/{c.order_id}/reissue", body).status == 201
    box.issue(c.order_id)
    assert read_ocsp(c).certificate_status == ocsp.OCSPCertStatus.GOOD
    box.advance(48 * 3600 + 1)
    assert read_ocsp(c).certificate_status == ocsp.OCSPCertStatus.REVOKED


def test_one_of_two(box, issue, tmp_path):
    c = issue("moods.example")
    box.admin("POST", "settings", {"revocation": "crl"})
    assert fetch(c.ocsp_url, c.request())[0] == 503 and len(crl_of(c, tmp_path)[0]) == 0
    box.admin("POST", "settings", {"revocation": "ocsp"})
    assert fetch(c.crl_url)[0] == 503 and asked(c)[0]
    box.admin("POST", "settings", {"revocation": "garbage"})
    for url, body in ((c.ocsp_url, c.request()), (c.crl_url, None)):
        status, _, data = fetch(url, body)
        assert status == 200 and b"html" in data
        with pytest.raises(ValueError):
            (ocsp.load_der_ocsp_response if body else x509.load_der_x509_crl)(data)


def test_silent(box, issue):
    c = issue("silent.example")
    box.admin("POST", "settings", {"revocation": "silent"})
    where = urllib.parse.urlsplit(c.crl_url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as s:
        s.sendall(f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
        s.settimeout(0.5)
        with pytest.raises(socket.timeout):
            s.recv(1)
        # the end of the sandbox does not wait for it
        began = time.monotonic()
        assert box.stop() == 0 and time.monotonic() - began < 10


def test_faults_apply(box, issue):
    c = issue("faults.example")
    box.fault("ocsp", "status", status=500)
    box.fault("crl", "truncate")
    assert fetch(c.ocsp_url, c.request())[0] == 500 and fetch(c.ocsp_url, c.request())[0] == 200
    with pytest.raises(Exception, match="IncompleteRead"):
        fetch(c.crl_url)
    assert fetch(c.crl_url)[0] == 200


def test_without_the_option(start):  # noqa: F811
    box = start()
    placed = box.placed(["plain.example"])
    box.issue(placed["id"])
    leaf = split_pem(box.download(placed["certificate_id"]).body)[0]
    for oid in (ExtensionOID.AUTHORITY_INFORMATION_ACCESS, ExtensionOID.CRL_DISTRIBUTION_POINTS):
        with pytest.raises(x509.ExtensionNotFound):
            leaf.extensions.get_extension_for_oid(oid)


@pytest.mark.parametrize("where", ["127.0.0.1", "192.0.2.1:80", "0.0.0.0:80", "127.0.0.1:70000", "[::2]:80"])
def test_bad_address(where, tmp_path):
    done = subprocess.run([BINARY, "--dir", tmp_path, "--pki-http", where], capture_output=True, text=True, timeout=20)
    assert done.returncode == 64 and "--pki-http" in done.stderr
