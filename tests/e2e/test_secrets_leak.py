# SPDX-License-Identifier: Apache-2.0
"""Secrets are where they belong and nowhere else: a life of certificates with unmistakable secrets and a CA that repeats in its
errors what it was sent, then everything that was written, said or shown is searched, in every spelling we can think of."""

import base64
import hashlib
import os
import pathlib
import re
import socket
import threading
import urllib.parse

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from lib import base, nameserver, netns
from lib.dnsworld import world  # noqa: F401 - takes the place of conftest's
from test_dns_hooks import Hook
from test_verbs import ask

DNS, WEB, EXEC = "www.example.jp", "shop.example.jp", "hook.example.jp"
NAMES = [DNS, WEB, EXEC]
API_KEY = "CANARY0API0KEY0d41f0b2c9e8a7f6e5d4c3b2a1908"
SCUTUM_KEY = "CANARY0SCUTUM0KEY07e57ab1e5eed0ddba11c0ffee"
PASSPHRASE = "CANARY passphrase & its blanks, 5f1e"
TSIG = nameserver.DAEMON[1]

# What a program of the administrator can see of the daemon and of itself.
LOOK = (
    "look = b'\\n'.join(open(f, 'rb').read() for p in (os.getppid(), os.getpid()) for f in (f'/proc/{p}/cmdline', f'/proc/{p}/environ')); "
    "open(folder + '/seen', 'ab').write(look)"
)


# --- needles ---


def spellings(secret):
    """Text or bytes, as they are, in hex, base64 (at each place of a longer text), percent-encoded."""
    raw = secret.encode() if isinstance(secret, str) else secret
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), raw.hex(":").encode(), raw.hex(":").upper().encode()}
    found.add(urllib.parse.quote(raw).encode())
    for shift in range(3):
        # The characters at both ends depend on what stands beside it.
        text = base64.b64encode(b"\0" * shift + raw + b"\0" * ((-shift - len(raw)) % 3))
        first, last = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
        found |= {text[first:last], base64.urlsafe_b64encode(base64.b64decode(text))[first:last]}
    return found | {re.sub(rb"\s", b"", f) for f in found}


def private_parts(pem):
    """The numbers of a private key that the certificate does not have; a piece of each is enough to be found by."""
    key = serialization.load_pem_private_key(pem, password=None)
    numbers = key.private_numbers()
    secret = [numbers.d, numbers.p, numbers.q, numbers.dmp1] if isinstance(key, rsa.RSAPrivateKey) else [numbers.private_value]
    parts = []
    for n in secret:
        text = n.to_bytes((n.bit_length() + 7) // 8, "big")
        parts += [text[at : at + 24] for at in range(0, len(text) - 23, 24)]
    return parts


class Needles:
    def __init__(self):
        self.by_text = {}

    def add(self, label, secret):
        for text in spellings(secret):
            self.by_text[text] = label

    def found_in(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        squeezed = re.sub(rb"\\n|\\r|\s", b"", data)
        return {label for text, label in self.by_text.items() if text in data or text in squeezed}


def test_the_search_finds_what_is_there():
    """It is worth nothing if it misses one."""
    n = Needles()
    n.add("key", API_KEY)
    secret = hashlib.sha512(b"x").digest()[:24]
    n.add("raw", secret)
    for lead in range(4):
        for tail in range(4):
            text = b"a" * lead + API_KEY.encode() + b"z" * tail
            for said in (text, text.hex().encode(), base64.b64encode(text), base64.encodebytes(text * 3)):
                assert n.found_in(said) == {"key"}, (lead, tail, said)
            assert n.found_in(base64.b64encode(b"a" * lead + secret + b"z" * tail)) == {"raw"}
    assert n.found_in(API_KEY[:-1]) == set() and n.found_in(b"nothing") == set()


# --- the world ---


class Journal:
    """Stands in for journald, in our namespace. Every thread ends before the namespace is left."""

    def __init__(self):
        netns.call("mount", b"tmpfs", b"/run", b"tmpfs", 0, None)
        os.makedirs("/run/systemd/journal")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("/run/systemd/journal/socket")
        self.sock.settimeout(0.1)
        self.entries = []
        self.closing = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 1 << 20, 4)
            except socket.timeout:
                if self.closing:
                    return
                continue
            for fd in fds:  # a large entry comes in a file
                with open(fd, "rb") as f:
                    f.seek(0)
                    data += f.read()
            self.entries.append(data)

    def close(self):
        self.closing = True
        self.thread.join(10)
        return b"\n".join(self.entries)


@pytest.fixture
def journal(world):  # noqa: F811
    j = Journal()
    yield j
    j.close()


def prepare(world, form):  # noqa: F811
    ca = world.dir / "ca"
    ca.mkdir()
    for name, text in (("api-key", API_KEY), ("scutum-api-key", SCUTUM_KEY)):
        (ca / name).write_text(text + "\n")
        (ca / name).chmod(0o600)
    world.start_ca()
    world.start_web()
    auth = world.auth_key()
    hook = Hook(world)
    hook.todo(LOOK)
    push = {"api_key_file": "scutum-key", "key_passphrase_file": "phrase", "id": "ABC1234"}
    entries = [world.entry(DNS), world.domain(WEB, scutum=False), world.entry(EXEC, provider="prog")]
    entries[0]["key"] = {"type": "ec", "curve": "P-256"}
    for e in entries:
        e["deploy"] = [{"scutum": {"host": e["name"], **push}}]
    d = world.make_daemon(
        *entries, providers={"corp": world.provider(), "prog": hook.provider()}, log={"level": "debug", "format": form},
        certcentral={"instant_issuance": True, "auth_key_file": "auth-key"},
    )  # fmt: skip
    d.write_secret("auth-key", auth + "\n")
    d.write_secret("phrase", PASSPHRASE + "\n")
    return d, hook, auth


def echo(*secrets):
    return "what came: " + "; ".join(f"X-Key: {s}" for s in secrets)


def look_around(d, said):
    """Everything that the daemon tells about itself, as JSON and for people."""
    for verb in (["status"], ["plan"], ["budget"], ["auth-key", "show"], ["auth-key", "list"], *(["show", n] for n in NAMES),
                 *(["history", n] for n in NAMES), *(["check-dcv", n] for n in NAMES)):  # fmt: skip
        for as_json in (True, False):
            answer = d.ctl(*verb, as_json=as_json)
            assert answer.out or answer.err, verb
            said.append(answer.out + answer.err)
    for bad in ({"verb": "show", "names": ["none"]}, {"verb": "nothing"}, {}):
        said.append(str(ask(d, **bad)))
    for f in ("cmdline", "environ", "status"):
        said.append(pathlib.Path(f"/proc/{d.proc.pid}/{f}").read_text())


def refusals(world, d, said):  # noqa: F811
    """CA and Scutum repeat in their errors what they were sent."""
    world.sandbox.fault("order", "status", status=400, code=API_KEY, message=echo(API_KEY, "Other"), times=3)
    d.start()
    for name in NAMES:
        shown = d.wait_error(name, "what came")
        assert shown["state"] == "failed" and "X-Key: ***" in shown["error"]["message"], shown
    look_around(d, said)
    world.sandbox.fault("info", "status", status=503, message=echo(API_KEY), times=3)
    world.sandbox.fault("scutum", "status", status=400, code=SCUTUM_KEY, message=echo(SCUTUM_KEY, PASSPHRASE), times=3)
    for name in NAMES:
        assert d.ctl("renew", name).code == 0
    for name in NAMES:
        shown = d.wait_error(name, "Scutum answered 400", timeout=60)
        assert shown["state"] == "failed", shown
    look_around(d, said)
    for name in NAMES:
        assert d.ctl("deploy", name).code == 0


def keys_of(d, out):
    """(path, text) of all that have a right to be there."""
    files = [*(d.state_dir / "archive").glob("*/*/privkey.pem"), out / "privkey.pem"]
    return {p: p.read_bytes() for p in files}


@pytest.mark.parametrize("form", ["text", "json", "journal"])
def test_a_whole_life(world, journal, form):  # noqa: F811
    d, hook, auth = prepare(world, form)
    said = []
    refusals(world, d, said)
    d.wait(*NAMES)
    out = world.dir / "dup"
    said.append(str(d.ctl("duplicate", DNS, "--new-key", "--out", out)))
    said.append(str(d.ctl("renew", WEB)))
    base.until(lambda: d.status(WEB)["generation"] == 2, 60, why="generation 2")
    said.append(str(d.ctl("revoke", EXEC, "--yes")))
    base.until(lambda: d.status(EXEC)["generation"] == 2, 60, why="the revoked one is replaced")
    d.reload()
    d.wait(*NAMES)
    said.append(str(d.ctl("reload")))
    for name in NAMES:
        assert [p["encrypted_key"] for p in world.sandbox.pushes(name)][-1] is True
    look_around(d, said)
    world.assert_clean(d, *NAMES)
    d.stop()
    logged = journal.close() + d.log_path.read_bytes()

    # All of them were in use.
    assert world.sandbox.orders(DNS)[0]["validated"] and len(hook.calls("present")) >= 1 and (out / "cert.pem").exists()
    assert logged.count(b"order.") > 20, "the log is at level debug"
    keys = keys_of(d, out)
    assert len(keys) == 6
    needles = Needles()
    for label, secret in (("API key", API_KEY), ("Scutum key", SCUTUM_KEY), ("passphrase", PASSPHRASE), ("AuthKey", auth), ("TSIG", TSIG)):
        needles.add(label, secret)
    needles.add("TSIG", base64.b64decode(TSIG))
    for path, pem in keys.items():
        for part in private_parts(pem):
            needles.add(f"key {path}", part)
        assert needles.found_in(pem) == {f"key {path}"}
    needles.by_text[b"PRIVATEKEY"] = "a private key"

    hits = [("log", needles.found_in(logged)), ("answers", needles.found_in("\n".join(said)))]
    hits += [("told to systemd", needles.found_in(str(d.notify.messages)))]
    owned = {d.dir / f for f in ("cc-key", "scutum-key", "phrase", "auth-key", "corp.tsig")} | {hook.path} | set(keys)
    files = [p for p in world.dir.rglob("*") if p.is_file() and not p.is_symlink()]
    files = [p for p in files if p not in owned and world.sandbox.dir not in p.parents]
    assert {world.sandbox.log_path, hook.dir / "seen", hook.dir / "calls", d.state_dir / "state" / f"{DNS}.json"} <= set(files)
    hits += [(str(p), needles.found_in(p.read_bytes())) for p in files]
    assert [h for h in hits if h[1]] == []
