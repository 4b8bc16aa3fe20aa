# SPDX-License-Identifier: Apache-2.0
"""One test's world: a CA, a web server and a daemon that know of each other."""

import os
import pathlib
import shutil
import tempfile

from . import base, daemon, pki, sandbox, webserver


class World:
    """Folders are short (unix sockets have 107 bytes) and open to a daemon that runs as another user."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dv", dir="/tmp"))
        os.chmod(self.dir, 0o755)
        self.ports = base.Ports()
        self.http_port = self.ports.take()
        self.sandbox = None
        self.web = None
        self.daemons = []

    # --- building ---

    def start_ca(self, *options, **more):
        self.sandbox = sandbox.Sandbox(self.dir / "ca", self.http_port, *options, **more)
        return self.sandbox

    def start_web(self, responder_port=None):
        self.web = webserver.WebServer(self.dir / "web", self.http_port, responder_port)
        return self.web

    def domain(self, name, scutum=True, **more):
        """An entry of `domains:` with a webroot of its own and a push to Scutum."""
        entry = {"name": name, **more}
        if "dcv" not in entry:
            entry["dcv"] = {"method": "http-token", "webroot": str(self.web.webroot(name))}
            for other in more.get("dns_names", []):
                (self.web.www / other).symlink_to(name)
        if scutum:
            entry["deploy"] = [{"scutum": {"host": name, "id": "ABC1234", "api_key_file": "scutum-key"}}]
        return entry

    def config(self, *domains, certcentral=None, **more):
        """A configuration for this world; poll_interval is the unit of all waiting times."""
        box = self.sandbox
        return {
            "log": {"level": "debug", "format": "text"},
            "certcentral": {
                "url": box.certcentral_url,
                "ca_file": str(box.ca_file),
                "api_key_file": "cc-key",
                "product": "ssl_dv_geotrust",
                "poll_interval": "1s",
                **(certcentral or {}),
            },
            "scutum": {"url": box.scutum_url, "ca_file": str(box.ca_file)},
            "preflight": {"http": f"127.0.0.1:{self.http_port}"},
            **more,
            "domains": list(domains),
        }

    def make_daemon(self, *domains, folder="d", uid=None, **more):
        """Configured, not started."""
        d = daemon.Daemon(self.dir / folder, self.config(*domains, **more), uid=uid)
        d.write_secret("cc-key", self.sandbox.api_key + "\n")
        d.write_secret("scutum-key", self.sandbox.scutum_key + "\n")
        if uid is not None:
            # Made here, because the daemon may not make it below a folder of somebody else.
            d.state_dir.mkdir(mode=0o711, exist_ok=True)
            os.chown(d.state_dir, uid, uid)
        self.daemons.append(d)
        return d

    def simple(self, *names, ca=(), **more):
        """The usual world: webroots, one daemon, these names."""
        self.start_ca(*ca)
        self.start_web()
        return self.make_daemon(*[self.domain(n) for n in names], **more)

    # --- judging ---

    def assert_good(self, d, name, orders=1, generation=1, reissues=0, **more):
        """Valid, installed, pushed, and bought and reissued as often as it should be."""
        status = d.status(name)
        assert status["state"] == "valid" and status["error"] is None, status
        order = sandbox.assert_one_order(self.sandbox, name, orders)
        assert order["reissues"] == reissues, order
        cert = pki.assert_installed(d, self.sandbox.ca_file, name, generation=generation, **more)
        serial = pki.serial_hex(cert)
        assert status["serial"] == serial and order["serial"].lower().lstrip("0") == serial.lstrip("0")
        if any("scutum" in t for t in self._deploy_of(d, name)):
            assert [p["serial"].lower().lstrip("0") for p in self.sandbox.pushes(name)][-1:] == [serial.lstrip("0")]
        return cert

    @staticmethod
    def _deploy_of(d, name):
        """Empty for a domain that stands in another file."""
        return [t for e in d.config["domains"] if e["name"] == name for t in e.get("deploy", [])]

    # --- the end ---

    def close(self, keep=False):
        for d in self.daemons:
            d.clean_up()
        if self.web:
            self.web.stop()
        if self.sandbox:
            self.sandbox.stop()
        self.ports.close()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def report(self):
        """For the report of a failed test."""
        parts = [f"everything of this test is kept in {self.dir}"]
        for d in self.daemons:
            parts.append(f"--- {d.log_path}\n{base.tail(d.log_path, 60)}")
        if self.sandbox:
            parts.append(f"--- {self.sandbox.log_path}\n{base.tail(self.sandbox.log_path, 40)}")
        return "\n".join(parts)
