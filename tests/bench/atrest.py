# SPDX-License-Identifier: Apache-2.0
"""Any number of domains that are valid already: the folders as the daemon itself would have left them (record version
1 of daemon/core/record_json.c, generations as in daemon/deploy/generation.h), without issuing anything."""

import datetime
import json
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
SERIAL = "0a5b9e1f33c24d7788e0aa1b2c3d4e5f"


def rfc3339(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def key_and_certificate(begin, end):
    """One for all: nobody looks inside, and their sizes are real."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.jp")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(int(SERIAL, 16)).not_valid_before(begin).not_valid_after(end)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return private, builder.sign(key, hashes.SHA256()).public_bytes(pem)


def sealed(text):
    """With the checksum that every state file ends with (daemon/store/seal.h)."""
    body = text.removesuffix("\n}")
    check = 0xCBF29CE484222325
    for byte in body.encode():
        check = (check ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f'{body},\n  "check": "{check:016x}"\n}}\n'


def record(name, names, i, begin, end, deploy):
    history = [
        {"at": rfc3339(begin), "event": event, "message": f"{event} of {name}, as a sentence of usual length"}
        for event in ("issuance-started", "order-submitting", "order-placed", "proof-published", "order-validated",
                      "order-issued", "certificate-installed")
    ]  # fmt: skip
    out = {
        "version": 1,
        "name": name,
        "held": False,
        "certificate": {
            "generation": 1, "order_id": 100000 + i, "certificate_id": 200000 + i, "serial": f"{i:04x}{SERIAL[4:]}",
            "names": " ".join(names), "not_before": rfc3339(begin), "not_after": rfc3339(end),
            "order_valid_until": rfc3339(begin + 365 * DAY), "installed_at": rfc3339(begin),
        },
    }  # fmt: skip
    if deploy:
        out["deploy"] = [
            {"target": f"scutum:{name}", "state": "done", "generation": 1, "attempts": 0, "at": rfc3339(begin),
             "next_at": None, "code": None, "message": None}
        ]  # fmt: skip
    out["history"] = history
    return sealed(json.dumps(out, indent=2))


def write_generation(state_dir, shared, name):
    generation = state_dir / "archive" / name / "0001"
    os.makedirs(generation)
    for file, source in shared.items():
        os.link(source, generation / file)
    os.symlink(f"../archive/{name}/0001", state_dir / "live" / name)


def write_shared(folder, begin, end):
    """Hard links of four files stand for all keys and certificates: fewer inodes, same folders."""
    folder.mkdir()
    key, cert = key_and_certificate(begin, end)
    files = {"cert.pem": cert, "chain.pem": cert, "fullchain.pem": cert + cert, "privkey.pem": key}
    for name, text in files.items():
        (folder / name).write_bytes(text)
    return {name: folder / name for name in files}


def config_text(d, names, full, port):
    head = f"""state_dir: {d.state_dir}
control_socket: {d.socket}
log: {{level: info, format: text}}
certcentral: {{url: "https://127.0.0.1:1/services/v2", api_key_file: cc-key}}
scutum: {{url: "https://127.0.0.1:1/api/v1"}}
responder: {{listen: "127.0.0.1:{port}"}}
defaults: {{key: {{type: ec, curve: P-256}}, dcv: {{method: http-token, responder: true}}}}
domains:
"""
    lines = []
    for i, name in enumerate(names):
        lines.append(f"  - name: {name}\n")
        if full:
            lines.append(f"    dns_names: [www.{name}]\n    deploy:\n      - scutum:\n          host: {name}\n")
            lines.append(f"          id: ABC{i:05d}\n          api_key_file: scutum-key\n")
    return head + "".join(lines)


def populate(d, n, kind, port, whole=True):
    """Fills the folder of a Daemon with n valid domains: plain (one name) or full (a further name, a Scutum target).
    whole: also their archive/ and live/, which are not looked at as long as nothing is due."""
    full = kind == "full"
    begin = datetime.datetime.utcnow().replace(microsecond=0) - DAY
    end = begin + 199 * DAY
    names = [f"d{i:05d}.example.jp" for i in range(n)]
    for path, mode in ((d.state_dir, 0o711), (d.state_dir / "state", 0o700)):
        path.mkdir(mode=mode)
    for path in ("live", "archive"):
        (d.state_dir / path).mkdir(mode=0o755)
    shared = write_shared(d.dir / "shared", begin, end)
    for i, name in enumerate(names):
        text = record(name, [name, f"www.{name}"] if full else [name], i, begin, end, full)
        (d.state_dir / "state" / f"{name}.json").write_text(text)
        if whole:
            write_generation(d.state_dir, shared, name)
    d.write_secret("cc-key", "key-that-is-never-used")
    d.write_secret("scutum-key", "another-key-that-is-never-used")
    d.write_config(config_text(d, names, full, port))
