# SPDX-License-Identifier: Apache-2.0
"""Everything at once, in one daemon: many domains whose work goes through the pool, while everybody asks and the configuration is
loaded again and again. `make check-tsan` runs it under ThreadSanitizer and wants every kind of work in the pool to come up in it."""

import json
import os
import signal
import socket
import threading

import pytest
from lib import base, frontends, scrape, webserver
from lib.sandbox import assert_one_order
from test_notices import Tell
from test_outside import named

EARLY = named(1, 1)  # is asked about at the CA a second after each start
OWN = [EARLY] + [f"own{i}.example.jp" for i in range(4)]
SHARED = [f"shared{i}.example.jp" for i in range(3)]
ANSWERED = [f"answered{i}.example.jp" for i in range(4)]
FRONT = "front.example.jp"
ALL = [*OWN, *SHARED, *ANSWERED, FRONT]
EC = {"type": "ec", "curve": "P-256"}

# From the webroot, and from the daemon what is not there.
BOTH = """location = /.well-known/pki-validation/fileauth.txt {{ try_files $uri @responder; }}
        location @responder {{
            proxy_pass http://127.0.0.1:{port};
            proxy_set_header Host $host;
        }}"""


class Crowd:
    """Everybody who asks a daemon something, without a pause, and somebody who reloads it. Use it as `with`."""

    def __init__(self, d, metrics):
        self.d, self.metrics = d, metrics
        self.stopping = threading.Event()
        self.failed = []
        self.n = {}

    def _ask(self, verb, **more):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.d.socket))
            s.settimeout(60 * base.PATIENCE)
            s.sendall(json.dumps({"verb": verb, **more}).encode() + b"\n")
            assert json.loads(s.makefile().readline())["ok"], verb

    def _again_and_again(self, name, act, pause):
        while not self.stopping.wait(pause):
            try:
                act()
                self.n[name] = self.n.get(name, 0) + 1
            except (OSError, ValueError, AssertionError) as e:
                if not self.stopping.is_set():
                    self.failed.append(f"{name}: {e!r}")

    def __enter__(self):
        acts = {
            "status": (lambda: self._ask("status"), 0.05),
            "history": (lambda: self._ask("history", names=[OWN[0]]), 0.1),
            "plan": (lambda: self._ask("plan", names=[SHARED[0]]), 0.3),
            "scrape": (lambda: scrape.scrape(self.metrics), 0.05),
            "reload": (lambda: self.d.proc.send_signal(signal.SIGHUP), 0.5),
        }
        self.threads = [threading.Thread(target=self._again_and_again, args=(n, *a), daemon=True) for n, a in acts.items()]
        self.n = dict.fromkeys(acts, 0)
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, failed, *_):
        self.stopping.set()
        for t in self.threads:
            t.join(60 * base.PATIENCE)
        if not failed:
            assert not self.failed and min(self.n.values()) > 0, (self.failed[:3], self.n)


@pytest.fixture
def front(world):
    made = frontends.Frontend("nginx", world.dir / "front", world.ports.take(), FRONT)
    yield made
    made.stop()


def entries_of(world, front):
    """Webroots of their own, one that is shared, the daemon itself, and a server behind a hook that is looked at."""
    shared = {"method": "http-token", "webroot": str(world.web.webroot(SHARED[0]))}
    for name in SHARED[1:]:
        (world.web.www / name).symlink_to(SHARED[0])
    made = [world.domain(n, key=EC) for n in OWN]
    made += [world.domain(n, key=EC, dcv=shared) for n in SHARED]
    made += [world.domain(n, key=EC, dcv={"method": "http-token", "responder": True}) for n in ANSWERED]
    return [*made, {**world.domain(FRONT, scutum=False, key=EC), "deploy": front.targets()}]


def come_and_go(d, name):
    """The configuration forgets a domain, and its state file is lost. It comes back and is planned again and again until a reload
    takes it in: whoever reads its files in the pool has something to report, while reloads end on the loop."""
    entries = d.config["domains"]
    d.config["domains"] = [e for e in entries if e["name"] != name]
    d.write_config()
    base.until(lambda: name not in [s["name"] for s in d.status()["domains"]], 30, why=f"{name} is forgotten")
    (d.state_dir / "state" / f"{name}.json").unlink()
    d.config["domains"] = entries
    d.write_config()
    base.until(lambda: d.ctl("plan", name) and name in [s["name"] for s in d.status()["domains"]], 30, why=f"{name} is back")
    d.wait(name)


def generations(d, n, *names):
    base.until(lambda: all(s["generation"] == n for s in d.status()["domains"] if s["name"] in names), 120, why=f"generation {n}")
    d.wait(*names)


def test_everything_at_once(world, front, monkeypatch):
    if not frontends.has("nginx"):
        pytest.skip("nginx is not there")
    monkeypatch.setattr(webserver, "PROXY", BOTH)
    responder, metrics = world.ports.take(), f"127.0.0.1:{world.ports.take()}"
    world.start_ca("--rate", "off", "--pki-http", "127.0.0.1:0")
    world.start_web(responder_port=responder)
    tell = Tell(world.dir)
    front.start()
    d = world.make_daemon(
        *entries_of(world, front), responder={"listen": f"127.0.0.1:{responder}"}, notify={"command": [str(tell.path)]},
        metrics={"listen": metrics, "textfile": str(world.dir / "dvcertd.prom")},
    )  # fmt: skip
    d.env = {"WATCHDOG_USEC": str(int(2e6 * base.PATIENCE))}

    d.start()
    with Crowd(d, metrics):
        d.wait(*ALL, timeout=120)

    # All of them are issued again, and the daemon is stopped in the middle.
    mark = world.sandbox.counts()["reissue"]
    assert d.ctl("renew", "--all").code == 0
    base.until(lambda: world.sandbox.counts()["reissue"] >= mark + 3, 60, why="reissues are under way")
    d.stop()
    d.start()
    with Crowd(d, metrics):
        generations(d, 2, *ALL)

        # What people do to one domain while the others live.
        rolled, doubled, revoked = OWN[1:4]
        assert d.ctl("rollback", rolled).json["generation"] == 1
        assert d.ctl("duplicate", doubled, "--new-key", "--out", world.dir / "dup").code == 0
        assert d.ctl("revoke", revoked, "--reason", "superseded", "--yes").code == 0
        assert d.ctl("doctor", FRONT, "--config", d.config_path).json["steps"]
        generations(d, 3, revoked)
        for name in SHARED[1:]:
            come_and_go(d, name)
        d.wait(*ALL)

    # A file that somebody broke is seen at a start and fetched again; an API key that the CA does not know is told to somebody.
    broken = d.live(OWN[4]) / "cert.pem"
    whole = broken.read_bytes()
    d.stop()
    broken.write_bytes(whole[:100])
    d.start()
    base.until(lambda: broken.read_bytes() == whole, 60, why="it is whole again")
    key = (d.dir / "cc-key").read_text()
    d.write_secret("cc-key", "not-the-key")
    d.reload()
    assert d.ctl("renew", OWN[0]).code == 0
    tell.wait("failed", timeout=60)
    d.write_secret("cc-key", key)
    d.reload()
    d.wait(*ALL, timeout=120)
    base.until(lambda: world.sandbox.counts()["ocsp"] > 0, 30, why="the CA's answerer is asked")

    # Nothing was bought twice in all that: what took the revoked one's place was free, because its order had another.
    for name in ALL:
        assert_one_order(world.sandbox, name)
    assert os.path.realpath(d.live(rolled)).endswith("/0001")
    d.stop()
