# SPDX-License-Identifier: Apache-2.0
"""The world in which the daemon is interrupted: one CA and one web server for all points, for each point a daemon and a name
of its own. What is judged is the CA's ledger and the disk, never the daemon's own words alone."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from lib import base, pki  # noqa: E402
from lib.world import World  # noqa: E402

TEMPORARY = ".dvcert-tmp-"
SETTLE_LIMIT = 90.0  # seconds; proving that an unclear post was not taken has 15 of its own
UNDER_WAY = ("job", "proofs", "revocation")  # members of a record
STOCK = 20  # domains that are issued at once, for what begins with a certificate; more would wait for the rate windows

# One pool thread, so that the calls of each thread come in the same order every time.
ENV = {"UV_THREADPOOL_SIZE": "1"}


class Broken(AssertionError):
    """An invariant does not hold."""


def need(condition, text):
    if not condition:
        raise Broken(text)


def ask(d, verb, names=(), timeout=20.0, **more):
    """One request to the control socket; None when nobody is there, or not any more."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(timeout * base.PATIENCE)
            s.connect(str(d.socket))
            s.sendall(json.dumps({"verb": verb, "names": list(names), **more}).encode() + b"\n")
            text = s.makefile().readline()
    except (ConnectionError, FileNotFoundError, BlockingIOError):
        return None
    return json.loads(text) if text.endswith("\n") else None  # it may end in the middle of its answer


def status_of(d, name):
    answer = ask(d, "status")
    found = [e for e in (answer or {}).get("domains", []) if e["name"] == name]
    return found[0] if found else None


def record_of(state_dir, name):
    """The record as it is on disk, or None."""
    try:
        return json.loads((state_dir / "state" / f"{name}.json").read_text())
    except FileNotFoundError:
        return None


def leftovers(state_dir, generation=None):
    """What should not be there when all is done. generation: the folder of the next one, begun and forgotten by a crash before
    the first write of the record, is the one that the next issuance takes."""
    begun = f"{generation + 1:04}.new" if generation else None
    found = [p for p in state_dir.rglob("*") if p.name.startswith(TEMPORARY) or p.name.endswith(".new") or ".bad-" in p.name]
    return [str(p) for p in found if begun not in (p.name, p.parent.name)]


def proofs_below(folder):
    """A temporary file of a publisher that was killed is removed by a publisher ten minutes later: others may share the folder."""
    return [str(p) for p in folder.rglob("*") if not p.is_dir() and not p.name.startswith(".dvcert-proof-")]


class Stage:
    """Use it as `with`. Folders of points that were good are removed at once; with `keep`, those of the others stay."""

    def __init__(self, *ca_options):
        self.world = World()
        self.lock = threading.Lock()
        self.stock = []
        self.places = {}  # of allocations, by scenario
        self.per_thread = threading.local()
        self.n_names = 0
        self.keep = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))  # processes and mounts end too
        try:
            self.world.start_ca("--rate", "off", *ca_options)
            self.world.start_web()
        except BaseException:
            self.world.close()
            raise
        self.sandbox = self.world.sandbox

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        for d in list(self.world.daemons):
            if d.alive():
                d.kill9()
        self.world.close(keep=self.keep and not os.environ.get("DVCERT_TIDY"))

    # --- daemons ---

    @contextlib.contextmanager
    def daemons_with(self, env_of):
        """What this thread makes meanwhile has env_of(daemon) in its environment."""
        self.per_thread.env_of = env_of
        try:
            yield
        finally:
            self.per_thread.env_of = None

    def more_env(self, d):
        env_of = getattr(self.per_thread, "env_of", None)
        return env_of(d) if env_of else {}

    def new_name(self):
        with self.lock:
            self.n_names += 1
            return f"n{self.n_names:05}.example.jp"

    def entry(self, name):
        return self.world.domain(name, key={"type": "ec"})

    def webroot(self, name):
        return self.world.web.www / name

    def daemon(self, *names, folder=None, state_dir=None, **more):
        d = self.world.make_daemon(*[self.entry(n) for n in names], folder=folder or self.new_name()[:6], **more)
        d.env = dict(ENV, **self.more_env(d))
        if state_dir:
            d.state_dir = pathlib.Path(state_dir)
            d.config["state_dir"] = str(state_dir)
            d.write_config()
        return d

    def drop(self, d):
        """A daemon that nobody needs any more, with all that it wrote."""
        if d.alive():
            d.kill9()
        d.clean_up()
        with self.lock:
            self.world.daemons.remove(d)
        shutil.rmtree(d.dir, ignore_errors=True)

    def _fill_stock(self):
        names = [self.new_name() for _ in range(STOCK)]
        d = self.daemon(*names, certcentral={"max_orders_per_day": 2 * STOCK})
        d.start()
        d.wait(*names)
        d.stop()
        self.stock = [(d, n) for n in names]

    def issued(self):
        """A daemon, not started, and its only name, which has a certificate."""
        with _stock_lock:
            if not self.stock:
                self._fill_stock()
            source, name = self.stock.pop()
            d = self.daemon(name)
            for sub in ("state", "live", "archive"):
                (d.state_dir / sub).mkdir(parents=True)
            shutil.copy2(source.state_dir / "state" / f"{name}.json", d.state_dir / "state")
            shutil.copytree(source.state_dir / "archive" / name, d.state_dir / "archive" / name)
            os.symlink(f"../archive/{name}/0001", d.state_dir / "live" / name)
            for sub, mode in ((".", 0o711), ("state", 0o700), ("live", 0o755), ("archive", 0o755)):
                os.chmod(d.state_dir / sub, mode)
            if not self.stock:
                self.drop(source)
        return d, name

    # --- what the daemon is made to do ---

    def add_domain(self, d, name):
        """Configured while it runs: the issuance begins."""
        d.config["domains"] = [self.entry(name)]
        d.write_config()
        d.proc.send_signal(signal.SIGHUP)

    # --- judging ---

    def is_settled(self, d, name):
        """Nothing under way, nothing to be done, nothing of ours left anywhere."""
        status = status_of(d, name)
        if not status or status["state"] != "valid" or status["error"]:
            return False
        rec = record_of(d.state_dir, name)
        if not rec or any(rec.get(k) for k in UNDER_WAY) or any(t["state"] != "done" for t in rec["deploy"]):
            return False
        if proofs_below(self.webroot(name)) or leftovers(d.state_dir, status["generation"]):
            return False
        (order,) = self.sandbox.orders(name)[-1:] or [None]
        # Between the look at the status and this one another order may have been placed, which has no serial yet.
        return bool(order and order["serial"]) and order["serial"].lower().lstrip("0") == status["serial"].lstrip("0")

    def settle(self, d, name, timeout=SETTLE_LIMIT):
        def settled():
            need(d.proc.poll() is None, f"dvcertd ended by itself: {d.proc.poll()}")
            return self.is_settled(d, name)

        try:
            base.until(settled, timeout, every=0.1, why="settled")
        except base.TimedOut as e:
            status = status_of(d, name) or {}
            raise Broken(
                f"{e}: proofs {proofs_below(self.webroot(name))}, left {leftovers(d.state_dir)}, state {status.get('state')}, "
                f"error {status.get('error')}, record {record_of(d.state_dir, name)}, ledger {self.sandbox.orders(name)}"
            ) from None

    def ledger(self, name):
        orders = self.sandbox.orders(name)
        return len(orders), sum(o["reissues"] for o in orders)

    def judge(self, d, name, done):
        """done: the pairs (orders, reissues) that the ledger may have. All orders but the last are revoked ones."""
        status = d.status(name)
        orders = self.sandbox.orders(name)
        reissues = sum(o["reissues"] for o in orders)
        need((len(orders), reissues) in done, f"{len(orders)} orders, {reissues} reissues instead of {done}: {orders}")
        references = {o["alternative_order_id"] for o in orders}
        need(len(references) == len(orders) and all(references), f"references of orders: {orders}")
        need(all(o["status"] == "revoked" for o in orders[:-1]), f"an order is forgotten: {orders}")
        cert = pki.assert_installed(d, self.sandbox.ca_file, name, generation=len(orders) + reissues)
        serial = pki.serial_hex(cert).lstrip("0")
        in_ledger = orders[-1]["serial"].lower().lstrip("0")
        need(in_ledger == serial, f"live has {serial}, the order {in_ledger}")
        pushed = [p["serial"].lower().lstrip("0") for p in self.sandbox.pushes(name)]
        need(pushed[-1:] == [serial], f"Scutum has {pushed[-1:]} instead of {serial}")
        need(all(t["state"] == "done" for t in status["deploy"]), f"to be deployed still: {status['deploy']}")
        need(not leftovers(d.state_dir), f"left behind: {leftovers(d.state_dir)}")
        d.assert_sane()


_stock_lock = threading.Lock()
