# SPDX-License-Identifier: Apache-2.0
"""Years of one domain in seconds: the real daemon and the real sandbox, whose clocks jump together from one event to the next.

The daemon's clocks, the monotonic one too, are libfaketime's: for the daemon time passes, it does not notice jumps. Between two events
there are steps of at most STEP, so that what it does daily is done in each of them. What should have happened is said by
plan_days(), which is written after docs/STATE-MACHINE.md and shares nothing with the daemon."""

import contextlib
import datetime
import glob
import http.client
import json
import os
import pathlib
import random
import socket
import ssl
import statistics
import time

from . import base, pki

LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
NAME = "www.example.jp"
DAY = 86400
STEP = 3 * DAY
DAYS = 3 * 365
BEFORE, AFTER = 3600, 60  # seconds before and after a planned moment
# What is done again and again while a certificate is valid: the word of the sandbox, and the log's at its end
LOOKS = {"changes": " order.changes: GET: status ", "ocsp": " revoked.ocsp: GET: status "}
JITTER = 0.1  # of the window, at most


def plan_days(ca_cap, our_cap=None, plan=365, days=DAYS, jitter=random.random):
    """[(day, "order" | "reissue")] as the rule has it. Caps are functions of the day; jitter: draws from 0 to 1."""
    our_cap = our_cap or ca_cap
    at, kind, end, found = 0.0, "order", 0.0, []
    while at < days:
        found.append((at, kind))
        end = at + plan if kind == "order" else end
        life = min(ca_cap(at), our_cap(at), end - at)
        # The last certificate of a plan is cut short, and its successor is an order, which gets the time of a full life.
        is_cut = life == end - at and our_cap(at) / 6 < life < our_cap(at)
        window = our_cap(at) / 6 if is_cut else life / 6
        at += life - window + jitter() * JITTER * window
        window = our_cap(at) / 6
        kind = "reissue" if end - at >= 1.5 * window else "order"
    return found


def order_days(issuances):
    return [at for at, kind in issuances if kind == "order"]


class Log:
    """Counts lines, reading each once."""

    def __init__(self, path):
        self.path, self.at, self.rest = path, 0, ""
        self.seen = dict.fromkeys(LOOKS, 0)

    def looks(self):
        """{look: how often it has had an answer}."""
        with open(self.path) as f:
            f.seek(self.at)
            lines = (self.rest + f.read()).split("\n")
            self.at = f.tell()
        self.rest = lines.pop()
        for line in lines:
            for look, said in LOOKS.items():
                self.seen[look] += said in line
        return dict(self.seen)


class Years:
    """caps: [(from day, days that the CA gives, days in the YAML)]. revocable: certificates tell where to ask whether they are."""

    def __init__(self, world, caps, order_years=1, days=DAYS, revocable=True):
        self.world = world
        self.caps = caps
        self.plan = 365 * order_years
        self.days = days
        self.issued = []  # one for each generation, in order
        self.steps = self.far_steps = 0
        self.weights = []
        self.clock_file = world.dir / "offset"
        box = world.start_ca(*(["--pki-http", "127.0.0.1:0"] if revocable else []), "--rate", "off")
        box.settings(max_cert_days=caps[0][1], ca_poll_s=0)
        self.d = world.make_daemon(
            {"name": NAME, "key": {"type": "ec", "curve": "P-256"}, "dcv": {"method": "http-token", "responder": True}},
            certcentral={"order_years": order_years, "max_cert_days": caps[0][2]},
            responder={"listen": f"127.0.0.1:{world.http_port}"},
        )
        self.d.env = {
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self.clock_file),
            "FAKETIME_NO_CACHE": "1",
        }
        self.offset = 0
        self.log = Log(self.d.log_path)
        self.line = None

    # --- the sandbox, on one connection ---

    def _ask(self, method, path, body=None):
        if self.line is None:
            host, port = self.world.sandbox.listen.split(":")
            tls = ssl.create_default_context(cafile=str(self.world.sandbox.ca_file))
            self.line = http.client.HTTPSConnection(host, int(port), context=tls, timeout=20 * base.PATIENCE)
        self.line.request(method, f"/sandbox/{path}", None if body is None else json.dumps(body),
                          {"Content-Type": "application/json"})  # fmt: skip
        answer = self.line.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)

    def _ask_daemon(self):
        """As dvcertctl does it, without a process for each of some thousand looks. Any question also wakes the loop."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20 * base.PATIENCE)
            s.connect(str(self.d.socket))
            s.sendall(json.dumps({"verb": "status", "names": [NAME]}).encode() + b"\n")
            answer = json.loads(s.makefile("rb").readline())
        assert answer["ok"], answer
        return answer["domains"][0]

    # --- time ---

    def now(self):
        return time.time() + self.offset

    def day(self, at):
        return (at - self.began) / DAY

    def _set_clocks(self, at):
        self._ask("POST", "clock", {"offset_s": round(at - time.time())})
        self._set_clock(at)

    def _set_clock(self, at):
        """The daemon's."""
        self.offset = round(at - time.time())
        new = self.clock_file.with_suffix(".new")
        new.write_text(f"{self.offset:+d}\n")
        os.rename(new, self.clock_file)

    def _jump(self, at, renewed=False):
        """Both clocks to `at`; back when everything that follows from it is done. renewed: a certificate has to follow."""
        generation, far = self.issued[-1]["generation"], at - self.now() > DAY / 24
        before = self.log.looks()
        self._set_clocks(at)
        self.steps += 1

        def valid():
            s = self.status = self._ask_daemon()
            return s["state"] == "valid" and s["generation"] > generation - (not renewed)

        def looked():
            return valid() and all(n > before[e] for e, n in self.log.looks().items())

        base.until(valid, 60, every=0.01, why=f"day {self.day(at):.2f}: a valid certificate")
        if self.status["generation"] != generation:
            assert renewed, f"day {self.day(self.now()):.2f}: a certificate that was not planned"
            self._remember()
        if far:
            self.far_steps += 1
            # A look whose answer is still being thought about when the clocks jump comes a step later.
            with contextlib.suppress(base.TimedOut):
                base.until(looked, 0.3, every=0.005)
            self._ask_daemon()
            self._weigh()

    def _weigh(self):
        """What the process holds at rest: (day, KiB resident, open descriptors)."""
        proc = pathlib.Path(f"/proc/{self.d.proc.pid}")
        (rss,) = [int(line.split()[1]) for line in (proc / "status").read_text().split("\n") if line.startswith("VmRSS:")]
        self.weights.append((self.day(self.now()), rss, len(list((proc / "fd").iterdir()))))

    def growth(self):
        """(KiB, descriptors) that the last third of the time has more than the second, each at its median."""
        thirds = [[w for w in self.weights if lo <= w[0] / self.days < hi] for lo, hi in ((0.33, 0.66), (0.66, 2))]
        (rss, fds), (rss_end, fds_end) = [[statistics.median(w[i] for w in part) for i in (1, 2)] for part in thirds]
        return rss_end - rss, fds_end - fds

    def _next_at(self):
        when = datetime.datetime.strptime(self.status["next"]["at"], "%Y-%m-%dT%H:%M:%SZ")
        return when.replace(tzinfo=datetime.timezone.utc).timestamp()

    # --- what happens ---

    def _remember(self):
        """The dates are those of the file, and the moment that of the record."""
        generation, path = self.status["generation"], self.d.state_dir / "state" / f"{NAME}.json"

        def written():
            found = json.loads(path.read_text()).get("certificate", {"generation": 0})
            return found if found["generation"] == generation else None

        record = base.until(written, every=0.01, why=f"generation {generation} is written down")
        installed = datetime.datetime.strptime(record["installed_at"], "%Y-%m-%dT%H:%M:%SZ")
        cert = pki.load_cert(self.d.state_dir / "archive" / NAME / f"{generation:04d}" / "cert.pem")
        utc = datetime.timezone.utc
        self.issued.append({
            "generation": generation,
            "order_id": self.status["order_id"],
            "plan_end": self.status["order_valid_until"],
            "installed_at": installed.replace(tzinfo=utc).timestamp(),
            "not_before": cert.not_valid_before.replace(tzinfo=utc).timestamp(),
            "not_after": cert.not_valid_after.replace(tzinfo=utc).timestamp(),
            "window": self.our_cap(self.day(self.now())) * DAY / 6,
        })  # fmt: skip

    def ca_cap(self, day):
        return [ca for since, ca, _ in self.caps if since <= day][-1] if day >= 0 else self.caps[0][1]

    def our_cap(self, day):
        return [our for since, _, our in self.caps if since <= day][-1] if day >= 0 else self.caps[0][2]

    def _change_caps(self, ca, our):
        self._ask("POST", "settings", {"max_cert_days": ca})
        if self.d.config["certcentral"]["max_cert_days"] != our:
            self.d.config["certcentral"]["max_cert_days"] = our
            self.d.write_config()
            self.d.reload()
            self.status = self._ask_daemon()

    def run(self):
        self.clock_file.write_text("+0\n")
        self.began = time.time()
        self.d.start()
        self.status = self.d.wait(NAME)[0]
        self._remember()
        end = self.began + self.days * DAY
        changes = [(self.began + since * DAY, ca, our) for since, ca, our in self.caps[1:]]
        while self.now() < end - 1:  # libfaketime's file has whole seconds
            due = self._next_at()
            milestone = min([end, *[c[0] for c in changes]])
            to = min(self.now() + STEP, milestone)
            if to < due - BEFORE:
                self._jump(to)
            elif self.now() < due - 2 * BEFORE:
                self._jump(due - BEFORE)
            else:
                self._jump(due + AFTER, renewed=True)
            if changes and changes[0][0] <= self.now() + 1:
                self._change_caps(*changes.pop(0)[1:])
        return self

    # --- what came of it ---

    def uncovered_s(self):
        """Seconds in which what was live was not valid, until the end."""
        moments = [c["installed_at"] for c in self.issued[1:]] + [self.began + self.days * DAY]
        lack = 0
        for cert, replaced_at in zip(self.issued, moments):
            lack += max(0, cert["not_before"] - cert["installed_at"]) + max(0, replaced_at - cert["not_after"])
        return lack

    def gains(self):
        """(generation, seconds that a reissue brought beyond its predecessor, window) of all reissues."""
        pairs = zip(self.issued, self.issued[1:])
        return [(b["generation"], b["not_after"] - a["not_after"], b["window"])
                for a, b in pairs if a["order_id"] == b["order_id"]]  # fmt: skip

    def orders(self):
        return self.world.sandbox.orders()

    def order_days(self):
        first = {}
        for c in self.issued:
            first.setdefault(c["order_id"], c["installed_at"])
        return [self.day(at) for at in first.values()]

    def requests(self):
        """By endpoint, CertCentral's and the CA's."""
        return {k: n for k, n in self._ask("GET", "counts").items() if k.isalpha() and n}

    def bad_requests(self):
        return [r for r in self._ask("GET", "requests")["requests"] if 400 <= r["status"] < 500 or r["status"] == 0]

    def report(self):
        counts = self.requests()
        caps = " then ".join(f"{ca} days" + (f" from day {since}" if since else "") for since, ca, _ in self.caps)
        days = ", ".join(f"{abs(d):.0f}" for d in self.order_days())
        return "\n".join([
            f"{self.days} days, certificates of {caps}, plans of {self.plan} days, {self.steps} steps of the clock",
            f"  orders     {len(self.order_days())} (days {days})",
            f"  reissues   {len(self.gains())}",
            f"  uncovered  {self.uncovered_s() / DAY:g} days",
            "  growth     {:+g} KiB resident, {:+g} descriptors from the second third to the last".format(*self.growth()),
            "  requests   " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items())),
        ])  # fmt: skip
