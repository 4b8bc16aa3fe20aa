# SPDX-License-Identifier: Apache-2.0
"""How many requests to CertCentral a certificate takes, by the way it is proven and issued; and three years of one domain.

    make bench-requests

Real programs on loopback; the sandbox counts. Prints two tables and asserts nothing but that everything was issued.
docs/BENCHMARK.md says what the figures mean.
"""

import concurrent.futures
import json
import pathlib
import shutil
import sys
import tempfile
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from lib import base, daemon, sandbox, years  # noqa: E402
from lib.world import World  # noqa: E402

from dnsdouble import DnsDouble  # noqa: E402

MANY = 20
# While an order is pending status-changes is asked once per poll_interval for all of them: shown apart.
POLL = "changes"
SLOW = "10s"  # ten times poll_interval: ten minutes of the real one


class Case:
    """A sandbox, a DNS and a daemon with n domains that have nothing yet."""

    def __init__(self, folder, n, method="http-token", instant=False, issue_delay="0s"):
        self.folder, self.ports = folder, base.Ports()
        port = self.ports.take()
        self.dns = DnsDouble(folder / "dns", self.ports.take())
        self.box = sandbox.Sandbox(
            folder / "ca", port, "--rate", "off", "--quiet", "--dns", self.dns.address, "--issue-delay", issue_delay
        )
        self.names = [f"r{i:02}.example.jp" for i in range(n)]
        self.d = daemon.Daemon(folder / "d", self._config(port, method, instant))
        self.d.write_secret("cc-key", self.box.api_key)
        if instant:
            self._make_auth_key()
        self.box.forget_requests()

    def _config(self, port, method, instant):
        dcv = {
            "http-token": {"responder": True},
            "dns-txt-token": {"provider": "double"},
            "email": {"emails": ["admin@example.jp"]},
        }[method]
        return {
            "log": {"level": "info", "format": "text"},
            "certcentral": {
                "url": self.box.certcentral_url, "ca_file": str(self.box.ca_file), "api_key_file": "cc-key",
                "poll_interval": "1s", "max_orders_per_day": 1000, "instant_issuance": instant,
            },
            "dns_providers": {"double": {"type": "exec", "command": [str(self.dns.program)]}},
            "preflight": {"http": f"127.0.0.1:{port}", "dns": self.dns.address},
            "responder": {"listen": f"127.0.0.1:{port}"},
            "defaults": {"key": {"type": "ec", "curve": "P-256"}, "dcv": {"method": method, **dcv}},
            "domains": [{"name": name} for name in self.names],
        }  # fmt: skip

    def _make_auth_key(self):
        rq = urllib.request.Request(
            f"{self.box.certcentral_url}/account/auth-key", b"", method="POST",
            headers={"X-DC-DEVKEY": self.box.api_key, "Content-Type": "application/json"},
        )  # fmt: skip
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.box.tls)
        )
        with opener.open(rq, timeout=20) as answer:
            json.load(answer)

    # --- what is counted ---

    def order(self):
        self.d.start()
        self.d.wait(*self.names, timeout=120)

    def order_by_email(self):
        self.d.start()
        waiting = "waits_for_email"
        base.until(lambda: all((s["error"] or {}).get("code") == waiting for s in self._status()), 60, why=waiting)
        for o in self.box.orders():
            self.box.set_order(o["order_id"], action="issue")  # as the links in the mails do
        self.d.wait(*self.names, timeout=120)

    def reissue(self):
        answer = self.d.ctl("renew", *self.names)
        assert answer.code == 0, answer
        base.until(lambda: all(s["generation"] == 2 and s["state"] == "valid" for s in self._status()), 120,
                   why="all are reissued")  # fmt: skip

    def duplicate(self):
        def one(name):
            answer = self.d.ctl("duplicate", name, "--new-key", "--out", self.folder / f"dup-{name}")
            assert answer.code == 0, answer

        with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
            list(pool.map(one, self.names))

    def _status(self):
        return self.d.status()["domains"]

    def counts(self):
        return {k: v for k, v in self.box.counts().items() if k.isalpha() and v}

    def close(self):
        self.d.clean_up()
        self.box.stop()
        self.dns.close()
        self.ports.close()


# What is printed, what the case is, what is done, and what is done before that without being counted
CASES = [
    ("ordinary, file", {}, Case.order, None),
    ("ordinary, TXT", {"method": "dns-txt-token"}, Case.order, None),
    ("ordinary, file; the CA takes ten poll intervals", {"issue_delay": SLOW}, Case.order, None),
    ("ordinary, TXT; the CA takes ten poll intervals", {"method": "dns-txt-token", "issue_delay": SLOW}, Case.order, None),
    ("e-mail, without the wait for the click", {"method": "email"}, Case.order_by_email, None),
    ("instant, file", {"instant": True}, Case.order, None),
    ("instant, TXT", {"method": "dns-txt-token", "instant": True}, Case.order, None),
    ("instant, file; the next one", {"instant": True}, Case.reissue, Case.order),
    ("reissue, file", {}, Case.reissue, Case.order),
    ("reissue, TXT", {"method": "dns-txt-token"}, Case.reissue, Case.order),
    ("duplicate", {}, Case.duplicate, Case.order),
]


def measure(folder, n, options, what, first):
    """Requests by endpoint."""
    folder.mkdir()
    case = Case(folder, n, **options)
    try:
        if first:
            first(case)
            case.box.forget_requests()
        what(case)
        return case.counts()
    finally:
        case.close()
        shutil.rmtree(folder, ignore_errors=True)


def said(counts):
    return ", ".join(f"{k} {v}" for k, v in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0])))


def per_certificate(counts, n):
    return sum(v for k, v in counts.items() if k != POLL) / n


def bench_requests(folder):
    print(f"\nRequests to CertCentral per certificate: of one, and of {MANY} at once\n", flush=True)
    width = max(len(title) for title, *_ in CASES)
    print(f"{'way'.ljust(width)}    one  of {MANY}  polls  by endpoint, of {MANY}")
    found = {}
    for i, (title, options, what, first) in enumerate(CASES):
        one = measure(folder / f"{i}-1", 1, options, what, first)
        many = measure(folder / f"{i}-n", MANY, options, what, first)
        found[title] = per_certificate(many, MANY)
        polls = f"{one.get(POLL, 0)}/{many.get(POLL, 0)}"
        print(f"{title.ljust(width)}  {per_certificate(one, 1):5.2f}  {found[title]:5.2f}  {polls:>5}  {said(many)}", flush=True)
    for way in ("file", "TXT"):
        saved = 1 - found[f"instant, {way}"] / found[f"ordinary, {way}"]
        print(f"saved by instant issuance, {way}: {saved:.0%} (the guide: up to 70 %)")


def bench_years():
    if years.LIBRARY is None:
        print("\nlibfaketime is missing: no years")
        return
    print("\nThree years of one domain; the looks at status-changes and OCSP once per step of the clock\n", flush=True)
    for caps, order_years in ((199, 1), (99, 1), (46, 1), (199, 2)):
        world = World()
        try:
            print(years.Years(world, [(0, caps, caps)], order_years).run().report(), flush=True)
        finally:
            world.close()


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvrq", dir="/tmp"))
    try:
        bench_requests(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    bench_years()


if __name__ == "__main__":
    main()
