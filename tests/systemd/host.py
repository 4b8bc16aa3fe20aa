# SPDX-License-Identifier: Apache-2.0
"""A host as an administrator has it after `make install`: the shipped unit and users, a web server, and a CA on its loopback."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import box

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from lib import base  # noqa: E402

ROOT = base.ROOT
BUILD = pathlib.Path(os.environ.get("DVCERT_BUILD", "build/rel"))
PATIENCE = base.PATIENCE
Late = base.TimedOut
UNIT = "dvcertd.service"
NAME = "www.example.jp"
CA_URL = "https://127.0.0.1:9443"

NGINX = """\
user www-data;
worker_processes 1;
pid /run/nginx.pid;
events { worker_connections 256; }
http {
    access_log off;
    default_type text/plain;
    server {
        listen 127.0.0.1:80 default_server;
        root /var/www/html;
    }
    server {
        listen 127.0.0.1:80;
        server_name app.example.jp;
        location = /.well-known/pki-validation/fileauth.txt {
            proxy_pass http://127.0.0.1:8402;
            proxy_set_header Host $host;
        }
    }
    include /etc/nginx/more/*.conf;
}
"""

CONFIG = """\
certcentral:
  url: https://127.0.0.1:9443/services/v2
  ca_file: /etc/dvcertd/ca.pem
  api_key_file: certcentral-api-key
  poll_interval: 1s
preflight: {http: "127.0.0.1:80"}
responder: {listen: "127.0.0.1:8402"}
"""

DOMAIN = """\
  - name: %s
    dcv: {method: http-token, webroot: /var/www/html}
"""


def until(what, timeout=20.0, **more):
    """A box is slower than a loopback."""
    return base.until(what, timeout, **more)


def stage():
    """What `make install` lays down, in a new folder. The caller removes it."""
    folder = tempfile.mkdtemp(prefix="stage", dir="/tmp")
    done = subprocess.run(
        ["make", "-s", "--no-print-directory", "-C", str(ROOT), f"BUILD={BUILD}", f"DESTDIR={folder}", "PREFIX=/usr", "install"],
        capture_output=True, text=True, env={**os.environ, "MAKEFLAGS": ""},
    )  # fmt: skip
    if done.returncode != 0:
        shutil.rmtree(folder)
        raise RuntimeError(done.stdout + done.stderr)
    return folder


class Host(box.Box):
    """Booted and installed; the daemon is configured and not started."""

    def __init__(self, staged):
        super().__init__()
        try:
            self._install(staged)
        except BaseException:
            self.close()
            raise

    def _install(self, staged):
        self.unpack(staged)
        self.sh("""
            systemd-sysusers
            systemd-tmpfiles --create dvcertd.conf
            journalctl --update-catalog
            systemctl daemon-reload
            install -d -m 0755 /var/www/html/.well-known /etc/nginx/more
            install -d -o dvcertd -g dvcertd /var/www/html/.well-known/pki-validation
        """)
        self.put("/etc/nginx/nginx.conf", NGINX)
        self.start_ca()
        self.run("systemctl", "start", "nginx.service")
        self.sh("cp /srv/ca/ca.pem /etc/dvcertd/ca.pem; chmod 0644 /etc/dvcertd/ca.pem")
        self.put("/etc/dvcertd/credentials/certcentral-api-key", self.api_key() + "\n", 0o600)
        self.configure()

    def put_file(self, path, source, mode):
        with open(source, "rb") as f:
            done = subprocess.run(self._enter(["sh", "-c", f"cat >{path} && chmod {mode:o} {path}"]), stdin=f, capture_output=True)
        assert done.returncode == 0, done.stderr

    # --- the CA ---

    def start_ca(self, *options, url=CA_URL):
        self.ca_url = url
        argv = ["/usr/bin/dvcert-sandbox", "--dir", "/srv/ca", "--quiet", *options]
        self.run("systemd-run", "--quiet", "--unit=ca", "--collect", *argv)
        until(self._ca_answers, why="the CA is ready")

    def _ca_answers(self):
        return self.run("curl", "-sf", "--cacert", "/srv/ca/ca.pem", f"{self.ca_url}/sandbox/clock", check=False).returncode == 0

    def admin(self, method, path, body=None):
        more = ["-H", "Content-Type: application/json", "-d", json.dumps(body)] if body is not None else []
        text = self.run("curl", "-sSf", "--cacert", "/srv/ca/ca.pem", "-X", method, *more, f"{self.ca_url}/sandbox/{path}").stdout
        return json.loads(text) if text.strip() else None

    def orders(self, name=NAME):
        return [o for o in self.admin("GET", "orders")["orders"] if o["common_name"] == name]

    def api_key(self):
        return self.sh("cat /srv/ca/api-key").strip()

    # --- the daemon ---

    def configure(self, *domains, extra="", main=CONFIG):
        domains = domains or (DOMAIN % NAME,)
        self.put("/etc/dvcertd/dvcertd.yaml", main + extra + "domains:\n" + "".join(domains))

    @staticmethod
    def config_text():
        """All of the configuration that a test has, but the domains."""
        return CONFIG

    def drop_in(self, text, name="test"):
        """A drop-in for the unit, as `systemctl edit` makes it; "" removes it."""
        path = f"/etc/systemd/system/{UNIT}.d/{name}.conf"
        if text:
            self.put(path, text)
        else:
            self.run("rm", "-f", path)
        self.run("systemctl", "daemon-reload")

    def systemctl(self, *argv, **more):
        return self.run("systemctl", *argv, UNIT, **more)

    def show(self, *properties):
        """One property's value, or a dictionary of several."""
        text = self.run("systemctl", "show", UNIT, "-p", ",".join(properties)).stdout
        found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return found[properties[0]] if len(properties) == 1 else found

    def pid(self):
        return int(self.show("MainPID"))

    def state(self):
        return self.show("ActiveState")

    def ctl(self, *argv, **more):
        return self.run("dvcertctl", *argv, **more)

    def status(self, name=NAME):
        return json.loads(self.ctl("--json", "status", name).stdout)["domains"][0]

    def wait_valid(self, *names, timeout=60):
        names = names or (NAME,)
        done = self.ctl("wait", *names, "--timeout", f"{int(timeout * PATIENCE)}s", check=False, timeout=timeout * PATIENCE + 30)
        assert done.returncode == 0, f"{done}\n{self.journal('-u', UNIT)}"

    def is_back(self, restarts):
        """Restarted by systemd that often, and ready again?"""
        seen = self.show("NRestarts", "ActiveState")
        return int(seen["NRestarts"]) == restarts and seen["ActiveState"] == "active"

    # --- the journal ---

    def journal(self, *argv):
        return self.run("journalctl", "--no-pager", *argv, check=False).stdout

    def records(self, *matches):
        """All records of the daemon as dictionaries."""
        text = self.journal("-o", "json", "--output-fields=", "SYSLOG_IDENTIFIER=dvcertd", *matches)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def wait_record(self, pattern, *matches, timeout=20.0):
        def found():
            for r in self.records(*matches):
                if re.search(pattern, r.get("MESSAGE", "")):
                    return r
            return None

        return until(found, timeout, every=0.1, why=f"a record /{pattern}/")

    def report(self):
        return self.run("systemctl", "status", UNIT, check=False).stdout + self.journal("-n", "80", "-o", "short-monotonic")
