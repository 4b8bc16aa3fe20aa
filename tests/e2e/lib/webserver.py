# SPDX-License-Identifier: Apache-2.0
"""A real nginx with its own configuration, port and pid file, as the web server that the CA looks at."""

import os
import pathlib
import shutil
import socket
import subprocess

from . import base

CONFIG = """\
{user}
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log info;
events {{ worker_connections 512; }}
http {{
    access_log {dir}/access.log;
    client_body_temp_path {dir}/tmp;
    proxy_temp_path {dir}/tmp;
    fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp;
    scgi_temp_path {dir}/tmp;
    default_type text/plain;
    server {{
        listen 127.0.0.1:{port};
        server_name _;
        root {www}/$host;
        {location}
    }}
}}
"""

PROXY = """location = /.well-known/pki-validation/fileauth.txt {{
            proxy_pass http://127.0.0.1:{port};
            proxy_set_header Host $host;
        }}"""


def is_installed():
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin") is not None


class WebServer:
    """Serves every Host from www/HOST; with responder_port, the proof comes from there instead."""

    def __init__(self, folder, port, responder_port=None):
        self.dir = pathlib.Path(folder)
        self.port = port
        self.www = self.dir / "www"
        self.www.mkdir(parents=True)
        location = PROXY.format(port=responder_port) if responder_port else ""
        user = "user root;" if os.geteuid() == 0 else ""
        (self.dir / "nginx.conf").write_text(
            CONFIG.format(user=user, dir=self.dir, port=port, www=self.www, location=location)
        )
        self.proc = None
        self.start()

    def start(self):
        with open(self.dir / "output", "ab") as out:
            self.proc = subprocess.Popen(
                ["nginx", "-p", str(self.dir), "-c", str(self.dir / "nginx.conf"), "-e", str(self.dir / "error.log")],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=base.clean_env(),
            )  # fmt: skip
        base.until(self._answers, why="nginx answers")

    def _answers(self):
        assert self.proc.poll() is None, f"nginx ended: {base.tail(self.dir / 'error.log')}"
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        base.end_process(self.proc)
        self.proc = None

    def webroot(self, host):
        """The folder of one host, made when it is not there."""
        path = self.www / host
        path.mkdir(exist_ok=True)
        return path

    def share(self, *hosts):
        """All these hosts have one folder."""
        shared = self.www / "shared"
        shared.mkdir(exist_ok=True)
        for host in hosts:
            (self.www / host).symlink_to("shared")
        return shared
