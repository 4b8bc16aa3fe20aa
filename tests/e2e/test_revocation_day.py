# SPDX-License-Identifier: Apache-2.0
"""A day like 2024-07-30: the CA revokes everything at once, or says that it will, or ends the orders as well. Judged by its ledger:
each certificate is replaced once, by another key, pushed and seen served; nothing is bought that is free, nothing is refused with 429.

    DVCERT_REVOKED=1000 DVCERT_BUILD=build/rel /usr/bin/python3 -m pytest -s tests/e2e/test_revocation_day.py -k certificates

takes that many, the CA's real windows and the tempo of a real daemon: 20 minutes for 1,000."""

import datetime
import http.client
import json
import os
import re
import signal
import socket
import ssl
import sys
import threading
import time

from cryptography.hazmat.primitives import serialization
from lib import base, pki
from test_load import Watch
from test_outside import first_look

sys.path.insert(0, str(base.ROOT / "tests" / "bench"))
from atrest import sealed  # noqa: E402

N = int(os.environ.get("DVCERT_REVOKED", "66"))  # more than begin at once
REAL = "DVCERT_REVOKED" in os.environ
URGENT = 5  # of them expire long before the others
# As in test_load.py.
CA_RATES = [(100, 5), (1000, 180)] if REAL else [(200, 2), (560, 20)]
OUR_RATES = [(90, 5), (900, 180)] if REAL else [(180, 2), (504, 20)]
TEMPO = 60 if REAL else 1
OWN_LOOK = 40  # tempos after the start, or more: all but the first would hear of it then, each by itself
ANSWER_LIMIT = 2.0
PACE = OUR_RATES[1][0] / OUR_RATES[1][1]
TIME_LIMIT = 120 + N / 4 + (90 * TEMPO if REAL else 0) + 3 * 8 * N / PACE


def names(n, stem, low, high):
    """n names whose first look at OCSP after a start is between these tempos."""
    found = (f"{stem}{i:05}.example.jp" for i in range(10**5))
    return [name for name, _ in zip((f for f in found if low <= first_look(f) <= high), range(n))]


class SniServer(threading.Thread):
    """One TLS server for all, with the certificates of live/ as they were when it was told of a name: by a file in `told`."""

    def __init__(self, d, told):
        super().__init__(daemon=True)
        self.d, self.told, self.pairs = d, told, {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.entrance = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.entrance.sni_callback = self.choose

    def choose(self, sock, name, _context):
        if (self.told / name).exists():
            (self.told / name).unlink()
            self.pairs.pop(name, None)
        if name not in self.pairs:
            self.pairs[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.pairs[name].load_cert_chain(self.d.live(name) / "fullchain.pem", self.d.live(name) / "privkey.pem")
        sock.context = self.pairs[name]

    def run(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with conn:
                conn.settimeout(10)
                try:
                    self.entrance.wrap_socket(conn, server_side=True).close()
                except OSError:
                    pass

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self.listener.close()

    def shown(self, name):
        """The serial number that a visitor is shown."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.port), 10) as conn:
            with tls.wrap_socket(conn, server_hostname=name) as s:
                return pki.serial_hex(pki.x509.load_der_x509_certificate(s.getpeercert(True)))


class Day:
    """All of it is installed, pushed and served, the daemon is stopped, and the CA's windows are narrow from here on."""

    def __init__(self, world, urgent, others):
        signal.alarm(int(TIME_LIMIT * base.PATIENCE))
        self.world, self.urgent, self.all = world, urgent, urgent + others
        self.port = world.http_port = world.ports.take()
        world.start_ca("--rate=off", "--validity", "40d", "--pki-http", "127.0.0.1:0")
        told = world.dir / "told"
        told.mkdir()
        hook = world.dir / "reload"
        hook.write_text(f'#!/bin/sh\n: >"{told}/$DVCERT_NAME"\n')
        hook.chmod(0o755)
        self.d = world.make_daemon(responder={"listen": f"127.0.0.1:{self.port}"})
        self.server = SniServer(self.d, told)
        self.server.start()
        self.hook = hook
        self.issue(urgent)
        world.sandbox.settings(validity_s=199 * 86400)
        self.issue(self.all)
        self.d.stop()
        world.sandbox.settings(rates=[{"requests": n, "per_s": s} for n, s in CA_RATES])
        (self.d.state_dir / "state" / "rates").unlink()
        world.sandbox.forget_requests()
        self.before = {name: pki.assert_key_matches(self.d.live(name))[0] for name in self.all}
        self.configure(2 * len(self.all), f"{TEMPO}s", OUR_RATES)

    def entry(self, name):
        verify = {"connect": f"127.0.0.1:{self.server.port}", "server_name": name}
        push = {"host": name, "id": "ABC1234", "api_key_file": "scutum-key"}
        return {
            "name": name, "key": {"type": "ec", "curve": "P-256"}, "dcv": {"method": "http-token", "responder": True},
            "deploy": [{"exec": {"command": [str(self.hook)]}}, {"verify": verify}, {"scutum": push}],
        }  # fmt: skip

    def configure(self, max_orders, tempo, rates, *more, domains=None):
        cc = self.d.config["certcentral"]
        cc.update(max_orders_per_day=max_orders, poll_interval=tempo, rate_limit=[{"requests": n, "per": f"{s}s"} for n, s in rates])
        self.d.config["domains"] = [self.entry(n) for n in domains or self.all] + list(more)
        self.d.config["log"]["level"] = "info"
        self.d.write_config()

    def issue(self, domains):
        """Nobody counts here."""
        self.configure(2 * len(self.all), "1s", [(10000, 1)], domains=domains)
        self.d.restart() if self.d.alive() else self.d.start()
        self.d.wait(*domains, timeout=60 + len(domains))

    def console(self, names, action):
        """What somebody at the CA does to the orders of these, one right after the other."""
        box = self.world.sandbox
        ids = {o["common_name"]: o["order_id"] for o in box.orders()}
        conn = http.client.HTTPSConnection(box.listen, context=box.tls, timeout=20)
        for name in names:
            conn.request("POST", f"/sandbox/orders/{ids[name]}", json.dumps({"action": action}), {"Content-Type": "application/json"})
            answer = conn.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
        conn.close()

    def ledger(self):
        found = {}
        for o in self.world.sandbox.orders():
            found.setdefault(o["common_name"], []).append(o)
        return found

    def until_replaced(self, names, timeout=TIME_LIMIT, every=2.0 if REAL else 0.5):
        def left():
            rows = {r["name"]: r for r in self.d.status()["domains"]}
            return not [n for n in names if rows[n]["generation"] < 2 or rows[n]["state"] != "valid"]

        base.until(left, timeout, every=every, why="all are replaced")

    def assert_replaced(self, names):
        """By another key, good at the CA, pushed, and what a visitor sees."""
        pushed = {p["host"]: p["serial"].lower().lstrip("0") for p in self.world.sandbox.pushes()}
        ledger = self.ledger()
        for name in names:
            order = ledger[name][-1]
            cert, _ = pki.assert_key_matches(self.d.live(name))
            serial = pki.serial_hex(cert).lstrip("0")
            assert serial == order["serial"].lower().lstrip("0") == pushed[name] == self.server.shown(name).lstrip("0")
            assert order["status"] == "issued" and order["serial"] not in order["revoked"]
            assert public(cert) != public(self.before[name]), f"{name}: the old key again"
        pki.assert_installed(self.d, self.world.sandbox.ca_file, names[0], generation=2)


def public(cert):
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return cert.public_key().public_bytes(serialization.Encoding.DER, spki)


def assert_quick(watch):
    assert not watch.failed and max(watch.took) < ANSWER_LIMIT * base.PATIENCE


def cpu_s(d):
    fields = open(f"/proc/{d.proc.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(what, day, counts, watch, took):
    n = counts["n_requests"] - counts["ocsp"] - counts["crl"] - counts["scutum"]
    took_99 = sorted(watch.took)[int(len(watch.took) * 0.99)]
    print(f"\n{what}: {len(day.all)} in {took:.1f} s: {n} requests of the key, {(n - counts['changes']) / len(day.all):.2f} each and "
          f"{counts['changes']} polls; {counts['ocsp']} of OCSP, {counts['crl']} of CRL; {counts['429']} answers of 429; status at worst "
          f"{max(watch.took) * 1000:.0f} ms, 99 % {took_99 * 1000:.0f} ms, of {len(watch.took)}; memory at most "
          f"{max(watch.memory) / 1024:.1f} MB; CPU {cpu_s(day.d):.1f} s")  # fmt: skip


def test_certificates(world):
    """The CA revokes the certificates and leaves the orders. Only OCSP tells; the first that hears of it makes all look."""
    early = names(1, "e", 2, 2)
    day = Day(world, early + names(URGENT - 1, "u", OWN_LOOK, 60), names(N - URGENT, "n", OWN_LOOK, 60))
    day.console(day.all, "revoke-certificates")
    began = time.monotonic()
    d = day.d.start()
    watch = Watch(d, day.all[0])
    watch.start()
    heard = {}

    def all_heard():
        for r in d.status()["domains"]:
            if r["revoked_at"] or r["generation"] > 1:
                heard.setdefault(r["name"], time.monotonic() - began)
        return len(heard) == len(day.all)

    base.until(all_heard, TIME_LIMIT, every=2.0 if REAL else 0.2, why="all hear of it")
    day.until_replaced(day.all)
    took = time.monotonic() - began
    watch.end()
    counts = world.sandbox.counts()
    report("certificates revoked", day, counts, watch, took)
    print(f"heard after {min(heard.values()):.1f} to {max(heard.values()):.1f} s")
    assert max(heard.values()) < OWN_LOOK * TEMPO, "nobody waited for the look of its own"
    assert counts["429"] == 0 and counts["order"] == 0 and counts["reissue"] == len(day.all), counts
    assert {(len(o), o[0]["reissues"]) for o in day.ledger().values()} == {(1, 1)}
    assert counts["info"] == 2 * len(day.all) and counts["check"] == counts["download"] == len(day.all), counts
    day.assert_replaced(day.all)
    assert_quick(watch)
    day.server.stop()


def with_plan_until(d, name, at):
    """The plan of this one is nearly over, as its record has it."""
    path = d.state_dir / "state" / f"{name}.json"
    text = re.sub(r',\n  "check": "[0-9a-f]+"\n}\n$', "\n}", path.read_text())
    changed = re.sub(r'("order_valid_until": ")[^"]+', rf"\g<1>{at}", text)
    assert changed != text
    path.write_text(sealed(changed))


def test_announced(world):
    """The CA says so before it revokes, and somebody has everything replaced at once. What would cost money is named first."""
    day = Day(world, names(URGENT, "u", OWN_LOOK, 60), names(N - URGENT, "n", OWN_LOOK, 60))
    ending = day.all[-3:]
    soon = datetime.datetime.utcnow() + datetime.timedelta(days=30)
    for name in ending:
        with_plan_until(day.d, name, soon.strftime("%Y-%m-%dT%H:%M:%SZ"))
    d = day.d.start()
    watch = Watch(d, day.all[0])
    watch.start()
    refused = d.ctl("renew", "--all")
    assert refused.code == 64 and sorted(refused.json["paid"]) == sorted(ending), refused
    began = time.monotonic()
    # Inside the plan, however little of it is left, a reissue costs nothing. The most urgent begin.
    answer = d.ctl("reissue", "--all", "--new-key")
    assert answer.code == 0 and sorted(answer.json["accepted"]) == sorted(day.all), answer
    assert sorted(answer.json["accepted"][:URGENT]) == sorted(n for n in day.all if n.startswith("u")), answer
    day.until_replaced(day.all)
    took = time.monotonic() - began
    watch.end()
    counts = world.sandbox.counts()
    report("announced", day, counts, watch, took)
    assert counts["429"] == 0 and counts["order"] == 0 and counts["reissue"] == N, counts
    assert counts["info"] == counts["check"] == counts["download"] == N, counts
    day.assert_replaced(day.all)
    assert_quick(watch)
    day.server.stop()


BUSY = "busy.example.jp"
PLACES = 20  # of that day's orders


def test_orders(world):
    """The orders are gone as well: each costs a new one, at most so many in a day, the most urgent first, and it is said."""
    day = Day(world, names(URGENT, "u", OWN_LOOK, 60), names(N - URGENT, "n", OWN_LOOK, 60))
    # An order that waits for somebody, so that status-changes is asked at the pace of a busy account.
    busy = {"name": BUSY, "dcv": {"method": "email", "emails": [f"admin@{BUSY}"]}}
    day.configure(N + 1 + PLACES, f"{TEMPO}s", OUR_RATES, busy)
    d = day.d.start()
    base.until(lambda: world.sandbox.orders(BUSY), 30, why="the other order")
    d.stop()
    day.console(day.all, "revoke")
    d.start()
    watch = Watch(d, day.all[0])
    watch.start()
    began = time.monotonic()

    def of(code):
        return [r["name"] for r in d.status()["domains"] if r["error"] and r["error"]["code"] == code]

    base.until(lambda: len(of("max_orders_per_day")) == N - PLACES, TIME_LIMIT, why="the others wait for tomorrow")
    lucky = [n for n in day.all if n not in of("max_orders_per_day")]
    day.until_replaced(lucky)
    assert set(day.urgent) <= set(lucky), "what expires first has the orders of this day"
    assert len(world.sandbox.orders()) == N + 1 + PLACES
    shown = d.status()
    late = [r for r in shown["domains"] if r["name"] in of("max_orders_per_day")]
    assert {(r["state"], r["next"]["action"]) for r in late} == {("retrying", "renew")} and all(r["revoked_at"] for r in late)
    left = N - PLACES
    at = datetime.datetime.strptime(shown["daemon"]["revoked"].pop("replaced_by"), "%Y-%m-%dT%H:%M:%SZ")
    assert shown["daemon"]["revoked"] == {"domains": left, "failed": 0, "postponed": left}
    days_left = (left + N + PLACES) // (N + 1 + PLACES)
    assert days_left - 0.1 < (at - datetime.datetime.utcnow()) / datetime.timedelta(days=1) < days_left + 0.1
    said = d.ctl("status", as_json=False).out
    assert f"\n{left} certificates are revoked and not replaced yet: the last of them will be in 23 h at the earliest; {left} wait for" in said, said
    assert len(re.findall(r"retrying +renew in 23 h .* the installed certificate is revoked, and: certcentral.max_orders", said)) == left
    assert len(d.ctl("plan").json["budget"]["postponed"]) == left
    assert "nothing is ordered before" in d.log()

    # Somebody decides that it is worth the money.
    day.configure(3 * N, f"{TEMPO}s", OUR_RATES, busy)
    world.sandbox.forget_requests()
    assert d.ctl("reload").code == 0
    day.until_replaced(day.all)
    watch.end()
    report("orders revoked", day, world.sandbox.counts(), watch, time.monotonic() - began)
    assert world.sandbox.counts()["429"] == 0 and len(world.sandbox.orders()) == 2 * N + 1
    assert {len(o) for n, o in day.ledger().items() if n != BUSY} == {2}
    assert d.status()["daemon"]["revoked"]["domains"] == 0 and "revoked" not in d.ctl("status", as_json=False).out
    day.assert_replaced(day.all)
    assert_quick(watch)
    day.server.stop()
