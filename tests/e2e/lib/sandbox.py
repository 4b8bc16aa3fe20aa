# SPDX-License-Identifier: Apache-2.0
"""dvcert-sandbox as a process, and its admin endpoint (docs/SANDBOX.md)."""

import json
import pathlib
import re
import select
import ssl
import subprocess
import time
import urllib.parse
import urllib.request

from . import base


class Sandbox:
    """Starts at once and is ready when the constructor returns."""

    def __init__(self, folder, http_port, *options, ca_poll="60s"):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.log_path = self.dir.parent / (self.dir.name + ".log")
        self.args = ["--dir", str(self.dir), "--http-port", str(http_port), "--ca-poll", ca_poll, *options]
        self.listen = "127.0.0.1:0"
        self.proc = None
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(
                [base.program("dvcert-sandbox"), "--listen", self.listen, *self.args],
                stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, env=base.clean_env(),
            )  # fmt: skip
        line = self._ready_line()
        m = re.search(r"ready on https://([^ ]+?:\d+)", line)
        assert m, f"dvcert-sandbox said {line!r}\n{base.tail(self.log_path)}"
        self.listen = m.group(1)  # the same port again after a restart
        self.url = f"https://{self.listen}"
        self.tls = ssl.create_default_context(cafile=str(self.ca_file))

    def _ready_line(self, timeout=20.0):
        deadline = time.monotonic() + timeout * base.PATIENCE
        text = b""
        while b"\n" not in text:
            ready, _, _ = select.select([self.proc.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = self.proc.stdout.read1(4096) if ready else b""
            if not chunk:
                break
            text += chunk
        return text.decode(errors="replace")

    def stop(self):
        if self.proc:
            base.end_process(self.proc)
            self.proc.stdout.close()
            self.proc = None

    # --- what it made ---

    @property
    def ca_file(self):
        return self.dir / "ca.pem"

    @property
    def api_key(self):
        return (self.dir / "api-key").read_text().strip()

    @property
    def scutum_key(self):
        return (self.dir / "scutum-api-key").read_text().strip()

    @property
    def certcentral_url(self):
        return self.url + "/services/v2"

    @property
    def scutum_url(self):
        return self.url + "/api/v1"

    # --- admin endpoint ---

    def admin(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        rq = urllib.request.Request(f"{self.url}/sandbox/{path}", data=data, method=method)
        if data is not None:
            rq.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls)
        )
        with opener.open(rq, timeout=20 * base.PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text.strip() else None

    def orders(self, common_name=None):
        return self.admin("GET", filtered("orders", common_name=common_name))["orders"]

    def counts(self):
        return self.admin("GET", "counts")

    def requests(self, endpoint=None):
        found = self.admin("GET", "requests")["requests"]
        return [r for r in found if endpoint is None or r["endpoint"] == endpoint]

    def forget_requests(self):
        self.admin("DELETE", "requests")

    def fault(self, endpoint, kind, **keys):
        self.admin("POST", "faults", {"endpoint": endpoint, "kind": kind, **keys})

    def clear_faults(self):
        self.admin("DELETE", "faults")

    def faults_hit(self, endpoint=None):
        return [r for r in self.requests(endpoint) if r.get("fault")]

    def clock(self, **change):
        return self.admin("POST", "clock", change) if change else self.admin("GET", "clock")

    def settings(self, **change):
        return self.admin("POST", "settings", change)

    def caa(self, name, answer="failed"):
        """From now on CAA of this name and of those below it forbids ("failed") or cannot be read ("not_found")."""
        return self.admin("POST", "caa", {"name": name, "answer": answer})

    def clear_caa(self):
        return self.admin("DELETE", "caa")

    def set_order(self, order_id, **change):
        return self.admin("POST", f"orders/{order_id}", change)

    def pushes(self, host=None):
        return self.admin("GET", filtered("scutum", host=host))["pushes"]


def filtered(path, **only):
    query = urllib.parse.urlencode({key: value for key, value in only.items() if value is not None})
    return f"{path}?{query}" if query else path


def assert_one_order(sandbox, name, n=1):
    """The ledger, not our log, says how often money was spent on a name."""
    orders = sandbox.orders(name)
    assert len(orders) == n, f"{name}: {len(orders)} orders instead of {n}: {orders}"
    references = [o["alternative_order_id"] for o in orders]
    assert all(references) and len(set(references)) == n, references
    return orders[-1]
