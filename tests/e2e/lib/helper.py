# SPDX-License-Identifier: Apache-2.0
"""dvcertd-helper as systemd starts it (an accepted connection as standard input) and as the daemon does (pipes)."""

import datetime
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from . import base, yamlout

NAME = "www.example.jp"
DAEMON = 45001  # a user without an account, as good as any
OTHER = 45002
NOW = datetime.datetime(2026, 11, 22)
LIMIT = 30.0

# Connects as somebody: what a daemon would do.
CLIENT = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
while data := s.recv(65536):
    sys.stdout.buffer.write(data)
"""


def make_cert(subject, key, issuer="Test Issuing CA", issuer_key=None):
    name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])  # noqa: E731
    cert = (
        x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(NOW).not_valid_after(NOW + datetime.timedelta(days=90))
        .sign(issuer_key or key, hashes.SHA256())
    )  # fmt: skip
    return cert.public_bytes(serialization.Encoding.PEM).decode()


def make_pair(name=NAME):
    key, issuer_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    cert, chain = make_cert(name, key, issuer_key=issuer_key), make_cert("Test Issuing CA", issuer_key, issuer="Test Root")
    return {
        "cert.pem": cert, "chain.pem": chain, "fullchain.pem": cert + chain,
        "privkey.pem": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ).decode(),
    }  # fmt: skip


class Box:
    """A configuration, a state folder of the daemon's user, a folder for copies, and a helper."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="helper", dir="/tmp"))
        self.dir.chmod(0o755)
        self.root = os.geteuid() == 0
        self.owner = DAEMON if self.root else os.geteuid()
        self.etc, self.state, self.dest = self.dir / "etc", self.dir / "state", self.dir / "dest"
        for folder in (self.etc, self.dest):
            folder.mkdir(mode=0o755)
        self.file = self.etc / "dvcertd.yaml"
        self.program = self.dir / "dvcertd-helper"
        shutil.copy(base.program("dvcertd-helper"), self.program)  # others may not look into the build
        self.env = {}
        self.deploy = []
        self.more = []
        for folder in ("", "archive", "live", f"archive/{NAME}"):
            self.give(self.state / folder, make=True)

    def close(self):
        shutil.rmtree(self.dir)

    # --- what there is ---

    def give(self, path, make=False, uid=None):
        if make:
            path.mkdir(mode=0o755)
        if self.root:
            os.chown(path, self.owner if uid is None else uid, self.owner if uid is None else uid)
        return path

    def generation(self, n):
        return self.state / "archive" / NAME / f"{n:04d}"

    def install(self, n=1, pair=None):
        """A generation as the daemon leaves it; returns its texts."""
        pair = pair or make_pair()
        folder = self.generation(n)
        if not folder.exists():
            self.give(folder, make=True)
        for file, text in pair.items():
            path = folder / file
            path.unlink(missing_ok=True)
            path.write_text(text)
            path.chmod(0o600 if file == "privkey.pem" else 0o644)
            self.give(path)
        return pair

    def files(self, **target):
        """Adds a files target; its name."""
        self.deploy.append({"files": {k: str(v) for k, v in target.items()}})
        first = [str(target[k]) for k in ("bundle", "cert", "chain", "fullchain", "key") if k in target]
        return f"files:{first[0]}" if first else "files"

    def reload(self, unit, **target):
        self.deploy.append({"reload": {"unit": unit, **target}})
        return f"reload:{unit}"

    def configure(self, **more):
        domain = {"name": NAME, "dcv": {"method": "http-token", "webroot": str(self.dir)}, "deploy": self.deploy}
        self.file.write_text(
            yamlout.dump({"state_dir": str(self.state), "certcentral": {"api_key_file": "no-such-file"}, **more, "domains": [domain]})
        )
        self.file.chmod(0o644)

    # --- asking ---

    def request(self, target, generation=1, name=NAME, **more):
        what = target.split(":")[0]
        rq = {"do": what, "name": name, "target": target, **({"generation": generation} if what == "files" else {}), **more}
        return json.dumps(rq).encode() + b"\n"

    def argv(self):
        return [str(self.program), "-c", str(self.file)]

    def start(self, stdin, stdout, user=None):
        who = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        return subprocess.Popen(
            self.argv(), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd="/", env=base.clean_env(**self.env), **who
        )

    def by_pipe(self, line, user=None):
        """As a child of the daemon, with the daemon's rights."""
        proc = self.start(subprocess.PIPE, subprocess.PIPE, user)
        out, err = proc.communicate(line, LIMIT * base.PATIENCE)
        return Answer(proc.returncode, out, err)

    def by_socket(self, line, peer=None):
        """As the socket unit does it: we are root, the daemon connects."""
        path = self.dir / "socket"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            path.chmod(0o777)
            listener.listen()
            peer = self.owner if peer is None else peer
            client = subprocess.Popen(
                [sys.executable, "-c", CLIENT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
                **({"user": peer, "group": peer, "extra_groups": []} if self.root else {}),
            )  # fmt: skip
            client.stdin.write(line)
            client.stdin.close()
            conn, _ = listener.accept()
        with conn:
            proc = self.start(conn, conn)
        _, err = proc.communicate(timeout=LIMIT * base.PATIENCE)
        out = client.stdout.read()
        client.wait(LIMIT)
        return Answer(proc.returncode, out, err)

    def ask(self, target, generation=1, peer=None):
        return self.by_socket(self.request(target, generation), peer)


class Answer:
    def __init__(self, exit_code, out, err):
        self.exit_code, self.out, self.err = exit_code, out, err.decode(errors="replace")
        lines = out.split(b"\n")
        assert exit_code == 0 and len(lines) == 2 and lines[1] == b"" and len(out) <= 4096, (exit_code, out, self.err)
        self.json = json.loads(lines[0])
        assert set(self.json) == ({"ok"} if self.json["ok"] else {"ok", "code", "message"}), self.json

    @property
    def ok(self):
        return self.json["ok"]

    def failed(self, code, *words):
        """Not ok, with this code, and all these words in the message. Returns the message."""
        assert not self.ok and self.json["code"] == code, self
        for word in words:
            assert str(word) in self.json["message"], (word, self.json["message"])
        return self.json["message"]

    def __repr__(self):
        return f"{self.out!r}\n{self.err}"


def account(uid_or_name):
    return pwd.getpwnam(uid_or_name) if isinstance(uid_or_name, str) else pwd.getpwuid(uid_or_name)
