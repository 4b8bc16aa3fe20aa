# SPDX-License-Identifier: Apache-2.0
"""Hundreds of domains due at once, against the CA's rolling windows: nothing is refused, nothing times out, what expires soon goes
first, and whoever asks for the status is answered all the time.

    DVCERT_LOAD=2000 DVCERT_BUILD=build/rel /usr/bin/python3 -m pytest -s tests/e2e/test_load.py

takes that many and the CA's real windows: about half an hour for 2,000, since each certificate takes four requests."""

import json
import os
import pathlib
import signal
import socket
import threading
import time

from lib import base

N = int(os.environ.get("DVCERT_LOAD", "300"))
REAL = "DVCERT_LOAD" in os.environ
EXPIRING = 15
# The real ones are 100 in 5 s and 1000 in 180 s; these have the same ratio of the short window's pace to the long one's.
CA_RATES = [(100, 5), (1000, 180)] if REAL else [(200, 2), (560, 20)]
OUR_RATES = [(90, 5), (900, 180)] if REAL else [(180, 2), (504, 20)]
RUNNING_MAX = 64  # jobs at work at the same time
ANSWER_LIMIT = 2.0
MEMORY_MB = 100
TIME_LIMIT = 300 + 4 * N * OUR_RATES[1][1] / OUR_RATES[1][0]


def ask(d, **request):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(d.socket))
        s.settimeout(60)
        s.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(s.makefile().readline())


class Watch(threading.Thread):
    """Asks all the time, for everything and for one domain, and looks at the memory."""

    def __init__(self, d, name):
        super().__init__(daemon=True)
        self.d, self.name, self.stopping = d, name, threading.Event()
        self.took, self.took_one, self.memory, self.failed = [], [], [], []

    def ask(self, took, **request):
        began = time.monotonic()
        try:
            assert ask(self.d, verb="status", **request)["ok"]
        except (OSError, ValueError, AssertionError) as e:
            self.failed.append(repr(e))
        took.append(time.monotonic() - began)

    def run(self):
        status = pathlib.Path(f"/proc/{self.d.proc.pid}/status")
        while not self.stopping.wait(0.1):
            self.ask(self.took)
            self.ask(self.took_one, names=[self.name])
            self.memory.append(int(status.read_text().split("VmRSS:")[1].split()[0]))

    def end(self):
        self.stopping.set()
        self.join(60)


def entry(name, **more):
    return {"name": name, "key": {"type": "ec", "curve": "P-256"}, "dcv": {"method": "http-token", "responder": True}, **more}


def test_all_at_once(world):
    signal.alarm(int(TIME_LIMIT * base.PATIENCE))
    port = world.http_port = world.ports.take()
    world.start_ca(*[f"--rate={n}/{s}s" for n, s in CA_RATES], "--validity", "60s")
    old = [f"old{i:02}.example.jp" for i in range(EXPIRING)]
    new = [f"new{i:04}.example.jp" for i in range(N)]
    certcentral = {"max_orders_per_day": 2 * N, "rate_limit": [{"requests": n, "per": f"{s}s"} for n, s in OUR_RATES]}
    more = {"certcentral": certcentral, "responder": {"listen": f"127.0.0.1:{port}"}}
    d = world.make_daemon(*[entry(n, renew_before="10s") for n in old], **more).start()
    d.wait(*old)
    issued = time.time()
    d.stop()

    # From here on those are due 59 s before their end, less a tenth for the jitter, and the others are new.
    base.until(lambda: time.time() >= issued + 7, 20, why="all of them are due")
    world.sandbox.settings(validity_s=199 * 86400)
    world.sandbox.forget_requests()
    d.config["domains"] = [entry(n) for n in new] + [entry(n, renew_before="59s") for n in old]
    d.write_config()
    began = time.monotonic()
    d.start()
    watch = Watch(d, new[0])
    watch.start()
    d.wait(*new, *old, timeout=TIME_LIMIT)
    took = time.monotonic() - began
    watch.end()
    requests = world.sandbox.requests()
    counts = world.sandbox.counts()
    d.stop()

    posts = [r["endpoint"] for r in requests if r["endpoint"] in ("order", "reissue")]
    last_urgent = max(i for i, p in enumerate(posts) if p == "reissue")
    quantile, quantile_one = (sorted(t)[int(len(t) * 0.99)] for t in (watch.took, watch.took_one))
    print(f"\n{N} new and {EXPIRING} expiring domains in {took:.1f} s: {counts['n_requests']} requests, "
          f"{counts['n_requests'] / (N + EXPIRING):.2f} each; {counts['429']} answers of 429; the last of the expiring was post "
          f"{last_urgent + 1} of {len(posts)}; status at worst {max(watch.took) * 1000:.0f} ms, 99 % {quantile * 1000:.0f} ms, "
          f"of one domain {max(watch.took_one) * 1000:.0f} ms, {quantile_one * 1000:.0f} ms, of {len(watch.took)}; memory at most {max(watch.memory) / 1024:.1f} MB")  # fmt: skip

    assert counts["429"] == 0 and not [r for r in requests if r["status"] not in (200, 201, 204)]
    assert counts["order"] == N and len(world.sandbox.orders()) == N + EXPIRING, "nothing was bought twice"
    assert posts.count("reissue") == EXPIRING and {o["reissues"] for o in world.sandbox.orders() if o["common_name"] in old} == {1}
    assert last_urgent < EXPIRING + RUNNING_MAX, "what expires soon goes first"
    assert "(EVENT=retry" not in d.log() and "timeout" not in d.log()
    assert not watch.failed and max(watch.took + watch.took_one) < ANSWER_LIMIT * base.PATIENCE
    if "san" not in str(base.BUILD):
        assert max(watch.memory) < MEMORY_MB * 1024
    for name in (new[0], new[-1]):
        world.assert_good(d.start() if not d.alive() else d, name)
