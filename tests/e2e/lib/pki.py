# SPDX-License-Identifier: Apache-2.0
"""Looking at installed certificates with tools that are not ours."""

import os
import re
import stat
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtensionOID

FILES = ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def load_cert(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def pem_blocks(text):
    return re.findall(r"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n", text, re.S)


def dns_names(cert):
    san = cert.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    return san.get_values_for_type(x509.DNSName)


def public_bytes(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def serial_hex(cert):
    """As DER has it: no leading zero bytes, two digits a byte."""
    text = f"{cert.serial_number:x}"
    return "0" + text if len(text) % 2 else text


def openssl_verify(folder, ca_file, name):
    done = subprocess.run(
        ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", str(ca_file), "-untrusted", str(folder / "chain.pem"),
         "-purpose", "sslserver", "-verify_hostname", name, "-x509_strict", str(folder / "cert.pem")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def assert_key_matches(folder):
    cert = load_cert(folder / "cert.pem")
    key = serialization.load_pem_private_key((folder / "privkey.pem").read_bytes(), password=None)
    assert public_bytes(cert.public_key()) == public_bytes(key.public_key()), "key and certificate do not match"
    return cert, key


def assert_installed(daemon, ca_file, name, names=None, generation=1, verify=True):
    """Everything that docs promise about the files of one domain. Returns the certificate."""
    live = daemon.live(name)
    assert os.readlink(live) == f"../archive/{name}/{generation:04d}"
    folder = live.resolve()
    assert sorted(p.name for p in folder.iterdir()) == FILES
    texts = {f: (folder / f).read_text() for f in FILES}
    assert not any("\r" in t for t in texts.values())
    assert texts["fullchain.pem"] == texts["cert.pem"] + texts["chain.pem"]
    assert len(pem_blocks(texts["cert.pem"])) == 1 and len(pem_blocks(texts["chain.pem"])) >= 1
    assert re.match(r"-----BEGIN (RSA|EC) PRIVATE KEY-----\n", texts["privkey.pem"])
    assert mode_of(folder / "privkey.pem") == 0o600
    assert mode_of(daemon.state_dir / "live") == mode_of(daemon.state_dir / "archive") == 0o755
    assert mode_of(daemon.state_dir / "state") == 0o700
    assert mode_of(daemon.state_dir / "state" / f"{name}.json") & 0o077 == 0
    cert, _ = assert_key_matches(folder)
    assert sorted(dns_names(cert)) == sorted(names or [name])
    for block in pem_blocks(texts["chain.pem"]):
        issuer = x509.load_pem_x509_certificate(block.encode())
        assert issuer.issuer != issuer.subject, "the root does not belong into chain.pem"
    if verify:
        openssl_verify(folder, ca_file, (names or [name])[0])
    return cert
