# SPDX-License-Identifier: Apache-2.0
"""The CA is away for two weeks while a certificate wants to be renewed: the first refuses connections, the second says that it is being
maintained. The clocks of daemon and CA are moved from one planned moment to the next, and never by more than STEP, so that whatever
asks more often than that is counted at each step (lib/years.py)."""

import os
import pathlib
import time

import pytest
from lib import base, scrape, years
from lib.gate import Gate
from lib.years import DAY, NAME, Years

pytestmark = [
    pytest.mark.skipif(years.LIBRARY is None, reason="libfaketime is not installed"),
    pytest.mark.skipif("san" in os.environ.get("DVCERT_BUILD", ""), reason="libfaketime and ASan exclude each other"),
]

STEP = 3600
AWAY = 14 * DAY
CAP = 6 * 3600  # the longest pause after a failure
TEMPO = 60
# In each week: pauses that double from one tempo to the cap, up to a quarter less by jitter; and the account's status changes, which
# slow down to every 16 hours.
ASKED = 9 + AWAY / 2 / (CAP * 0.75) + 5 + AWAY / 2 / (16 * 3600)
# What a reference of ours has to be looked for in vain before the order is placed again (core/retry.h), with its pauses.
LOOKS = 3600


class Outage(Years):
    def __init__(self, world, days):
        # Where certificates say whom to ask about them, each step would have to wait for the answer.
        super().__init__(world, [(0, days, days)], revocable=False)
        host, port = world.sandbox.listen.split(":")
        self.gate = Gate((host, int(port)))
        c = self.d.config
        c["certcentral"]["url"] = f"https://127.0.0.1:{self.gate.port}/services/v2"
        c["certcentral"]["poll_interval"] = f"{TEMPO}s"
        c["metrics"] = {"listen": f"127.0.0.1:{world.ports.take()}"}
        self.d.write_config()
        self.clock_file.write_text("+0\n")
        self.began = time.time()
        self.pauses = []
        self.asked_before = 0

    # --- looking ---

    def look(self):
        self.status = self._ask_daemon()
        return self.status

    def samples(self):
        return scrape.scrape(self.d.config["metrics"]["listen"])

    def metric(self, metric, **labels):
        return scrape.value(self.samples(), metric, name=NAME, **labels)

    def asked(self):
        """Requests to CertCentral that ended."""
        return self.asked_before + sum(n for (m, _), n in self.samples().items() if m == "dvcertd_api_requests_total")

    # --- time ---

    def _is_idle(self):
        """No thread works or waits for a disk: the clocks may go on. What is under way for hours is an error to the daemon."""
        tasks = pathlib.Path(f"/proc/{self.d.proc.pid}/task").glob("*/stat")
        return all(t.read_text().rsplit(")", 1)[1].split()[0] not in "RD" for t in tasks)

    def to(self, at, ca=True):
        """Both clocks, or only the daemon's; back when what was due until then is done."""
        if ca:
            self._set_clocks(at)
        else:
            self._set_clock(at)
        self.steps += 1

        def rests():
            s = self.look()
            return s["state"] in ("valid", "failed") or (s["next"]["at"] and self._next_at() > self.now() and self._is_idle())

        base.until(rests, 60, every=0.002, why=f"day {self.day(self.now()):.2f}: it has a next time that is to come")

    def until_valid(self, generation, limit):
        """From one planned moment to the next until this generation is installed. Returns the seconds that it took."""
        began = self.now()
        while self.look()["state"] != "valid" or self.status["generation"] != generation:
            assert self.now() - began <= limit, f"not within {limit} s: {self.status}"
            at = self._next_at() if self.status["next"]["at"] else 0
            self.to(max(min(at, self.now() + STEP), self.now()) + 1)
        return self.now() - began

    def restart(self, kill):
        self.asked_before = self.asked()
        if kill:
            self.d.kill9()
        else:
            self.d.stop()
        self.d.start()
        self.look()

    def away(self, seconds, restarts=0):
        """So long nobody answers; the daemon is started anew so often meanwhile, killed every other time."""
        until = self.now() + seconds
        at = [self.now() + (i + 1) * seconds / (restarts + 1) for i in range(restarts)]
        live = os.readlink(self.d.live(NAME))
        self.pauses = []
        while self.now() < until:
            if at and self.now() >= at[0]:
                at.pop(0)
                self.restart(kill=len(at) % 2)
            failed_at = self.status["error"]["at"] if self.status["error"] else None
            self.to(max(min(self._next_at() + 1, until, self.now() + STEP), self.now() + 1), ca=False)
            assert os.readlink(self.d.live(NAME)) == live, "the old certificate is not served any more"
            assert self.status["state"] in ("valid", "retrying"), self.status
            if self.status["error"] and self.status["error"]["at"] != failed_at:
                self.pauses.append(self._next_at() - self.now())
        self._set_clocks(self.now())


@pytest.fixture
def outage(world, request):
    o = Outage(world, request.param)
    o.d.start()
    o.until_valid(1, 3600)
    yield o
    o.gate.close()


def assert_pauses(pauses):
    """They double to the cap, less up to a quarter."""
    assert len(pauses) > 20, pauses
    for i, pause in enumerate(pauses):
        full = min(TEMPO * 2**i, CAP)
        assert 0.75 * full - 5 <= pause <= full, (i, pauses)


def assert_told(o, *parts):
    problem = o.status["error"]
    assert o.status["state"] == "retrying" and o.status["next"]["at"], o.status
    assert all(p in problem["message"] for p in parts), problem
    assert o.metric("dvcertd_domain_state", state="retrying") == 1
    assert o.metric("dvcertd_domain_error_info", code=problem["code"]) == 1


def two_weeks(o, restarts=0, expires=False):
    """The first week refuses connections, the second answers 503. Both begin before the renewal point or go on with the failure."""
    o.to(o._next_at() - 1800)
    gone = o.asked()
    said = ["the installed certificate has expired, and: "] if expires else []
    o.gate.shut()
    o.away(AWAY / 2, restarts)
    refused = o.asked() - gone
    assert_told(o, "Couldn't connect to server")
    if not restarts:
        assert_pauses(o.pauses)
    o.gate.open()
    box = o.world.sandbox
    box.fault("*", "status", status=503, times=0)
    box.forget_requests()
    o.away(AWAY / 2, restarts)
    assert_told(o, *said, "503")
    if not restarts:
        assert_pauses(o.pauses)
    # A process that starts asks once more what has changed.
    assert refused <= ASKED + 5 * restarts and len(box.requests()) <= ASKED + 5 * restarts, (refused, len(box.requests()))
    assert {r["status"] for r in box.requests()} <= {503, 0}
    print(f"\n{o.steps} steps; asked {refused:.0f} times in vain, then {len(box.requests())} times for 503")
    box.clear_faults()


@pytest.mark.parametrize("outage, restarts", [(199, 0), (199, 3)], indirect=["outage"])
def test_two_weeks(outage, restarts):
    """At the paid renewal, which comes after a free one. Nothing is said of an end that is far away, and one order is bought."""
    o = outage
    o.to(o._next_at() + 1)
    o.until_valid(2, 3600)
    assert o.status["next"]["action"] == "renew"
    two_weeks(o, restarts)
    assert "EVENT=certificate-expir" not in o.d.log() and "EVENT=domain-stuck" not in o.d.log()
    assert o.until_valid(3, CAP + LOOKS) <= CAP + LOOKS
    assert o.status["error"] is None
    assert [(x["kind"], x["status"]) for x in o.orders()] == [("new", "issued"), ("renewal", "issued")]
    assert o.requests()["order"] <= 2, "one post that was answered 503, and one that was taken"


@pytest.mark.parametrize("outage", [46], indirect=True)
def test_it_runs_out_on_the_way(outage):
    """A sixth of 46 days is less than two weeks: it is told before, when it happens, and until it is mended."""
    o = outage
    two_weeks(o, expires=True)
    log = o.d.log()
    soon, late = log.find("EVENT=certificate-expiring"), log.find("EVENT=certificate-expired")
    assert 0 < soon < late, "both are said, in this order"
    (line, *_) = [x for x in log.split("\n") if "EVENT=certificate-expired" in x]
    assert " error www.example.jp: expired at 20" in line and "503" in line, line
    assert log.count("EVENT=certificate-expired") >= 4 * 6, "at least every six hours of six days"
    assert o.metric("dvcertd_certificate_not_after_timestamp_seconds") < o.now()
    assert o.until_valid(2, CAP + LOOKS) <= CAP + LOOKS
    assert o.status["error"] is None and o.metric("dvcertd_certificate_not_after_timestamp_seconds") > o.now()
    (order,) = o.orders()
    assert order["reissues"] == 1
    # It is over: nothing more is said of it.
    said = o.d.log().count("EVENT=certificate-expir")
    o.to(o.now() + DAY)
    assert o.d.log().count("EVENT=certificate-expir") == said
