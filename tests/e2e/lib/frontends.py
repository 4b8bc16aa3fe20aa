# SPDX-License-Identifier: Apache-2.0
"""Real web servers that serve TLS from files which the daemon keeps, each with a script that tests its configuration and reloads it."""

import os
import pathlib
import shlex
import shutil
import socket
import ssl
import subprocess
import threading

from cryptography import x509

from . import base, pki

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

NGINX = """\
user root;
daemon off;
worker_processes 2;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {dir}/tmp;
    proxy_temp_path {dir}/tmp;
    fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp;
    scgi_temp_path {dir}/tmp;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {fullchain};
        ssl_certificate_key {key};
        location / {{ return 200 "ok\\n"; }}
    }}
}}
"""

APACHE = """\
ServerRoot {dir}
PidFile {dir}/pid
Mutex file:{dir}
ErrorLog {dir}/error.log
ServerName localhost
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
Listen 127.0.0.1:{port}
User www-data
Group www-data
DocumentRoot {dir}/www
SSLEngine on
SSLCertificateFile {fullchain}
SSLCertificateKeyFile {key}
"""

HAPROXY = """\
global
    master-worker
    stats socket {dir}/stats mode 600 level admin expose-fd listeners
    pidfile {dir}/pid
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend f
    bind 127.0.0.1:{port} ssl crt {bundle}
    http-request return status 200 content-type text/plain string "ok"
"""


def has(program):
    return shutil.which(program, path=PATH) is not None


def make_placeholder(folder, name):
    """What an administrator starts with: a certificate of one's own making."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", folder / "key.pem", "-out", folder / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "bundle.pem").write_text((folder / "fullchain.pem").read_text() + (folder / "key.pem").read_text())


def handshake(port, name, address="127.0.0.1", timeout=5.0):
    """One TLS request as any client makes it. Returns the certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    with socket.create_connection((address, port), timeout) as plain:
        with tls.wrap_socket(plain, server_hostname=name) as s:
            s.sendall(f"GET /index.html HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while part := s.recv(4096):
                answer += part
            assert b" 200 " in answer.split(b"\r\n")[0], answer[:200]
            return x509.load_der_x509_certificate(s.getpeercert(True))


def served_serial(port, name):
    return pki.serial_hex(handshake(port, name))


class Frontend:
    """kind: nginx, apache or haproxy. Its files are copies in `tls`, as `files` writes them."""

    CONFIG = {"nginx": NGINX, "apache": APACHE, "haproxy": HAPROXY}

    def __init__(self, kind, folder, port, name):
        self.kind = kind
        self.dir = pathlib.Path(folder)
        self.port = port
        self.tls = self.dir / "tls"
        (self.dir / "www").mkdir(parents=True)
        (self.dir / "www" / "index.html").write_text("ok\n")
        self.tls.mkdir()
        make_placeholder(self.tls, name)
        self.config = self.dir / "config"
        paths = {k: self.tls / f"{k}.pem" for k in ("fullchain", "key", "bundle")}
        self.config.write_text(self.CONFIG[kind].format(dir=self.dir, port=port, **paths))
        self.script = self.dir / "reload"
        self.write_script(self._test_and_reload())
        self.proc = None

    def _argv(self, *more):
        c = str(self.config)
        if self.kind == "nginx":
            return ["nginx", "-p", str(self.dir), "-c", c, "-e", str(self.dir / "error.log"), *more]
        if self.kind == "apache":
            return ["apache2", "-f", c, *more]
        return ["haproxy", "-f", c, *more]

    def _test_and_reload(self):
        test, tell = {
            "nginx": (["-t", "-q"], shlex.join(self._argv("-s", "reload"))),
            "apache": (["-t"], shlex.join(self._argv("-k", "graceful"))),
            "haproxy": (["-c", "-q"], f"kill -USR2 $(head -1 {self.dir}/pid)"),
        }[self.kind]
        return f"{shlex.join(self._argv(*test))} && {tell}"

    def write_script(self, command):
        """The hook: what an administrator would write."""
        new = self.script.with_suffix(".new")
        new.write_text(f"#!/bin/sh\n{command}\n")
        os.chmod(new, 0o755)
        os.rename(new, self.script)

    def start(self):
        more = {"nginx": [], "apache": ["-DFOREGROUND"], "haproxy": ["-W"]}[self.kind]
        with open(self.dir / "output", "ab") as out:
            self.proc = subprocess.Popen(
                self._argv(*more), stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=base.clean_env()
            )
        base.until(self._answers, why=f"{self.kind} answers")
        return self

    def _answers(self):
        assert self.proc.poll() is None, f"{self.kind} ended: {base.tail(self.dir / 'output')}"
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        base.end_process(self.proc)
        self.proc = None

    def files_target(self, **more):
        """The copies that this server reads, as a target of the YAML."""
        if self.kind == "haproxy":
            return {"files": {"bundle": str(self.tls / "bundle.pem"), **more}}
        return {"files": {"fullchain": str(self.tls / "fullchain.pem"), "key": str(self.tls / "key.pem"), **more}}

    def targets(self, **verify):
        return [
            self.files_target(),
            {"exec": {"command": [str(self.script)]}},
            {"verify": {"connect": f"127.0.0.1:{self.port}", **verify}},
        ]


class Hammer:
    """Requests without a pause from several threads, and what failed of them."""

    def __init__(self, port, name, threads=3):
        self.port, self.name = port, name
        self.stopping = threading.Event()
        self.done = 0
        self.failed = []
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self):
        while not self.stopping.is_set():
            try:
                handshake(self.port, self.name)
                self.done += 1
            except (OSError, AssertionError, ValueError) as e:
                self.failed.append(repr(e))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for t in self.threads:
            t.join()
