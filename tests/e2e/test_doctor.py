# SPDX-License-Identifier: Apache-2.0
"""`dvcertctl doctor`: one thing is broken at a time, and it is exactly that which is named first."""

import http.server
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest
from lib import base
from test_verify import Server

NAME = "www.example.jp"
OTHER = "b.example.jp"
NOBODY = 65534
STEPS = [
    "config", "daemon", "secrets", "record", "clock", "api", "product", "budget", "order", "dns", "caa", "zone", "http",
    "webroot", "files", "targets", "served", "waf",
]  # fmt: skip
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else")


def looks(world, **more):
    """No question leaves this machine."""
    return {"http": f"127.0.0.1:{world.http_port}", "dns": "off", **more}


def begin(world):
    if not world.sandbox:
        world.start_ca()
    if not world.web:
        world.start_web()


def entry(world, name=NAME, deploy=None, **more):
    """Without a push to Scutum."""
    begin(world)
    return {**world.domain(name, scutum=False, **more), **({"deploy": deploy} if deploy else {})}


def prepare(world, *entries, preflight=None, **more):
    """Not started; without entries: the usual domain, with a push to Scutum."""
    begin(world)
    return world.make_daemon(*(entries or [world.domain(NAME)]), preflight=preflight or looks(world), **more)


def ready(world, *entries, **more):
    d = prepare(world, *entries, **more).start()
    d.wait(*[e["name"] for e in d.config["domains"]])
    return d


class Report:
    def __init__(self, answer):
        self.code = answer.code
        self.json = answer.json
        self.steps = {s["step"]: s for s in self.json["steps"]}
        self.first = self.json["first_broken"]

    def __getattr__(self, step):
        return self.steps[step]["state"]

    def text(self, step):
        return f"{self.steps[step]['text']} / {self.steps[step]['remedy']}"

    def __repr__(self):
        return f"exit {self.code}\n" + "\n".join(f"{s['step']}: {s['state']}: {s['text']} / {s['remedy']}" for s in self.json["steps"])


def doctor(d, *args):
    answer = d.ctl("doctor", *args, "--config", d.config_path)
    assert answer.out, answer
    report = Report(answer)
    assert (report.code, report.json["result"]) == ((1, "broken") if report.first else (0, "ok")), report
    return report


def assert_first(report, step, *words):
    assert report.first == step, report
    for word in words:
        assert word in report.text(step), report
    assert report.json["remedy"] == report.steps[step]["remedy"]


# --- all is well ---


def test_healthy(world):
    d = ready(world)
    record = d.state_dir / "state" / f"{NAME}.json"
    before = record.read_bytes()
    world.sandbox.forget_requests()
    r = doctor(d, NAME)
    assert r.first is None and list(r.steps) == STEPS, r
    assert {s: r.steps[s]["state"] for s in STEPS if r.steps[s]["state"] != "ok"} == {
        "dns": "skipped", "caa": "skipped", "zone": "skipped", "served": "skipped",
    }, r  # fmt: skip
    asked = [q for q in world.sandbox.requests() if "/services/" in q.get("path", "/services/")]
    assert r.json["api_requests"] == 3 and len(world.sandbox.orders(NAME)) == 1, asked
    assert record.read_bytes() == before and len(world.sandbox.pushes(NAME)) == 1
    people = d.ctl("doctor", NAME, "--config", d.config_path, as_json=False)
    assert people.code == 0 and "Nothing is broken (3 requests to CertCentral)" in people.out, people
    assert not [p for p in world.web.webroot(NAME).rglob("*") if p.is_file()]


def test_without_a_name(world):
    d = ready(world, entry(world), entry(world, OTHER))
    r = doctor(d)
    assert r.first is None and r.json["api_requests"] == 2, r
    assert list(r.steps) == ["config", "daemon", "secrets", "clock", "api", "product", "budget"]
    people = d.ctl("doctor", "--config", d.config_path, as_json=False).out
    assert NAME in people and OTHER in people and "2 domains: 2 valid" in people


def test_unknown_name(world):
    d = prepare(world).start()
    answer = d.ctl("doctor", "nobody.example.jp")
    assert answer.code == 1 and "no domain named nobody.example.jp" in answer.err


# --- configuration, daemon, secrets ---


def next_second():
    """Times of files and of the daemon are compared by the second."""
    now = int(time.time())
    base.until(lambda: int(time.time()) > now, 3, every=0.02, why="the second is over")


def test_config_newer_than_loaded(world):
    d = ready(world)
    next_second()
    d.write_config()
    assert_first(doctor(d, NAME), "config", "after it was loaded", "dvcertctl reload")
    next_second()
    assert d.ctl("reload").code == 0
    assert doctor(d, NAME).first is None
    next_second()
    (d.dir / "conf.d").mkdir()
    assert doctor(d, NAME).first is None  # an editor that only shows a file does as much
    more = d.dir / "conf.d" / "more.yaml"
    more.write_text("domains: []\n")
    assert_first(doctor(d, NAME), "config", "after it was loaded")
    more.write_text(f"domains:\n  - name: {OTHER}\n    dcv: {{method: http-token, webroot: /tmp}}\n")
    os.utime(more, (1, 1))  # moved here, or restored
    assert_first(doctor(d, NAME), "config", "has 2 domains, in use are 1", "dvcertctl reload")


def test_config_broken_on_disk(world):
    d = ready(world)
    d.write_config(d.config_path.read_text() + "\nsuprise: 1\n")
    r = doctor(d, NAME)
    assert_first(r, "config", "suprise", "dvcertd.yaml:", "--check")
    assert r.secrets == "skipped" and r.api == "ok" and r.files == "ok", r


def test_daemon_not_there(world):
    d = prepare(world)
    r = doctor(d, NAME)
    assert_first(r, "daemon", "not running", "systemctl start dvcertd", "journalctl -u dvcertd")
    assert r.config == "ok" and r.others == "skipped" and r.json["api_requests"] == 0


def test_daemon_that_failed(world):
    """systemd is asked how it ended."""
    d = prepare(world)
    folder = d.dir / "bin"
    folder.mkdir()
    fake = folder / "systemctl"
    fake.write_text(
        "#!/bin/sh\nprintf '%s\\n' LoadState=loaded ActiveState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=78\n"
    )
    fake.chmod(0o755)
    done = subprocess.run(
        [base.program("dvcertctl"), "-s", str(d.socket), "doctor", NAME, "--config", str(d.config_path)],
        capture_output=True, text=True, env=base.clean_env(PATH=f"{folder}:/usr/bin:/bin"), timeout=30 * base.PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1, done
    assert "dvcertd.service has failed: exit-code, exit status 78 (bad configuration)" in done.stdout, done.stdout


def test_secret_that_others_may_read(world):
    d = ready(world)
    os.chmod(d.dir / "cc-key", 0o644)
    assert_first(doctor(d, NAME), "secrets", "cc-key")
    os.chmod(d.dir / "cc-key", 0o600)
    d.write_secret("cc-key", "another-key\n")
    r = doctor(d, NAME)
    assert r.secrets == "warning" and r.first is None and "dvcertctl reload" in r.text("secrets"), r


# --- CertCentral ---


def test_wrong_api_key(world):
    d = prepare(world)
    d.write_secret("cc-key", "WRONG\n")
    d.start()
    d.wait(NAME, state="failed")
    r = doctor(d, NAME)
    assert_first(r, "api", "certcentral.api_key_file")
    assert (r.record, r.product, r.order) == ("warning", "skipped", "skipped") and "needs api" in r.text("product"), r
    assert_first(doctor(d), "api")


def test_api_not_reachable(world):
    d = ready(world)
    world.sandbox.stop()
    r = doctor(d, NAME)
    assert_first(r, "api", "firewall")
    assert r.clock == "skipped" and r.product == "skipped", r
    world.sandbox.start()


def test_unknown_product(world):
    d = prepare(world, entry(world, product="ssl_dv_nothing")).start()
    d.wait(NAME, state="failed")
    r = doctor(d, NAME)
    assert_first(r, "product", "ssl_dv_nothing", "ssl_dv_geotrust")
    assert_first(doctor(d), "product", "ssl_dv_nothing")


def test_orders_of_the_day_are_spent(world):
    d = prepare(world, entry(world), entry(world, OTHER), certcentral={"max_orders_per_day": 1}).start()
    base.until(lambda: [s for s in d.status()["domains"] if s["error"]], 30, why="one of both waits for tomorrow")
    base.until(lambda: [s for s in d.status()["domains"] if s["state"] == "valid"], 30, why="the other one is valid")
    (waits,) = [s["name"] for s in d.status()["domains"] if s["error"]]
    (done,) = {NAME, OTHER} - {waits}
    assert_first(doctor(d, waits), "budget", "the 1 orders of a day are spent")
    r = doctor(d, done)
    assert r.budget == "warning" and r.first is None, r


def test_order_revoked(world):
    d = ready(world, entry(world))
    assert d.ctl("revoke", NAME, "--order", "--yes").code == 0
    assert_first(doctor(d, NAME), "order", "is revoked")


# --- the way of the proof ---


class Web:
    """Answers everything the same way."""

    def __init__(self, status, location=None, port=0):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.at = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((403,), ("status 403", "password")),
        ((500,), ("status 500", "error log")),
        ((302, "http://www.example.net/x"), ("redirects to", "without the redirect")),
        ((301, "https://www.example.jp:8443/x"), ("redirects to",)),
        ((301, f"http://{NAME}/again"), ("more than 5 redirects",)),
    ],
)  # fmt: skip
def test_web_server_in_the_way(world, answer, words):
    web = Web(*answer)
    try:
        d = ready(world)
        d.config["preflight"]["http"] = web.at
        d.write_config()
        assert d.ctl("reload").code == 0
        assert_first(doctor(d, NAME), "http", *words)
    finally:
        web.stop()


def test_port_closed(world):
    d = ready(world)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        d.config["preflight"]["http"] = "127.0.0.1:%d" % nobody.getsockname()[1]
        d.write_config()
        assert d.ctl("reload").code == 0
        assert_first(doctor(d, NAME), "http", NAME, "port 80 must be open")


def test_responder(world):
    """The whole way is tried, with a value that is served beside those of orders and is gone afterwards."""
    world.start_ca()
    port = world.ports.take()
    world.start_web(responder_port=port)
    d = ready(
        world, {"name": NAME, "dcv": {"method": "http-token", "responder": True}}, responder={"listen": f"127.0.0.1:{port}"}
    )
    r = doctor(d, NAME)
    assert r.first is None and "responder" in r.text("http") and r.webroot == "skipped", r
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(f"GET /.well-known/pki-validation/fileauth.txt HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
        assert b"doctor-" not in s.recv(65536)
    web = Web(404)
    try:
        d.config["preflight"]["http"] = web.at
        d.write_config()
        assert d.ctl("reload").code == 0
        assert_first(doctor(d, NAME), "http", f"not from the responder on 127.0.0.1:{port}")
    finally:
        web.stop()


def test_webroot_missing(world):
    d = ready(world)
    shutil.rmtree(world.web.webroot(NAME))
    assert_first(doctor(d, NAME), "webroot", str(world.web.www / NAME), "dcv.webroot")


def test_webroot_with_a_link(world):
    d = ready(world)
    shutil.rmtree(world.web.www / NAME / ".well-known", ignore_errors=True)
    (world.web.www / NAME / ".well-known").symlink_to("/tmp")
    assert_first(doctor(d, NAME), "webroot", "no link is followed")


@as_root
def test_webroot_not_writable(world):
    begin(world)
    root = world.web.webroot(NAME)
    os.chown(root, NOBODY, NOBODY)
    d = ready(world, entry(world), uid=NOBODY)
    shutil.rmtree(root / ".well-known", ignore_errors=True)
    os.chown(root, 0, 0)
    assert_first(doctor(d, NAME), "webroot", "may not write", "BindPaths")


# --- what is installed, and where ---


def test_key_removed(world):
    server = Server().start()
    try:
        d = prepare(world, entry(world, deploy=[server.target()]))
        server.serves(d.live(NAME))
        d.start()
        d.wait(NAME)
        assert doctor(d, NAME).served == "ok"
        (d.live(NAME) / "privkey.pem").unlink()
        r = doctor(d, NAME)
        assert_first(r, "files", "privkey.pem")
        assert r.served == "skipped" and "needs files" in r.text("served"), r
    finally:
        server.stop()


def test_key_that_others_may_read(world):
    d = ready(world)
    (d.live(NAME) / "privkey.pem").chmod(0o644)
    assert_first(doctor(d, NAME), "files", "mode 0644")


def test_link_leads_elsewhere(world):
    d = ready(world)
    link = d.state_dir / "live" / NAME
    link.unlink()
    link.symlink_to("/tmp")
    assert_first(doctor(d, NAME), "files", f"live/{NAME}")


def test_server_with_the_old_certificate(world):
    server = Server().start()
    try:
        d = prepare(world, entry(world, deploy=[server.target(settle="0s")]))
        server.serves(d.live(NAME))
        d.start()
        d.wait(NAME)
        server.serves(d.live(NAME).resolve())
        assert d.ctl("renew", NAME).code == 0
        d.wait_error(NAME, "not-served|verify")
        r = doctor(d, NAME)
        assert_first(r, "served", server.connect, f"dvcertctl deploy {NAME}")
        assert r.record == "ok" and r.targets == "ok", r
    finally:
        server.stop()


def test_unit_that_does_not_exist(world):
    d = prepare(world, entry(world, deploy=[{"reload": {"unit": "dvcert-nobody.service"}}])).start()
    d.wait(NAME, state="deploying")
    r = doctor(d, NAME)
    assert r.first == "targets" and "reload:dvcert-nobody.service" in r.text("targets"), r


def test_hook_that_cannot_run(world):
    hook = world.dir / "hook"
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)
    d = ready(world, entry(world, deploy=[{"exec": {"command": [str(hook)]}}]))
    assert doctor(d, NAME).first is None
    hook.chmod(0o644)
    assert_first(doctor(d, NAME), "targets", str(hook), "not an executable file")
    hook.unlink()
    assert_first(doctor(d, NAME), "targets", "No such file")


@as_root
def test_helper_missing(world):
    """The daemon of this test runs from a copy that has no helper beside it."""
    begin(world)
    os.chown(world.web.webroot(NAME), NOBODY, NOBODY)
    folder = world.dir / "copies"
    folder.mkdir()
    copies = entry(world, deploy=[{"files": {"bundle": str(folder / "bundle.pem")}}])
    d = prepare(world, copies, uid=NOBODY, helper_socket=str(world.dir / "helper.sock")).start()
    d.wait(NAME, state="deploying")
    assert_first(doctor(d, NAME), "targets", "dvcertd-helper is not there", "dvcertd-helper.socket")


def test_waf_not_reachable(world):
    world.start_ca()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = "https://127.0.0.1:%d/api/v1" % nobody.getsockname()[1]
        d = prepare(world, scutum={"url": url, "ca_file": str(world.sandbox.ca_file)}).start()
        d.wait(NAME, state="deploying")
        assert_first(doctor(d, NAME), "waf", url)


def test_waf_that_refuses(world):
    d = prepare(world)
    d.write_secret("scutum-key", "WRONG\n")
    d.start()
    d.wait(NAME, state="failed")
    r = doctor(d, NAME)
    assert_first(r, "waf", f"scutum:{NAME}", f"dvcertctl deploy {NAME}")


# --- the walk itself ---


def test_peer_that_leaves(world):
    """A run whose caller is gone ends, and the next one is as ever."""
    d = ready(world)
    world.sandbox.fault("me", "delay", delay_ms=1500, times=1)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(d.socket))
        s.sendall(b'{"verb":"doctor","names":["%s"]}\n' % NAME.encode())
        base.until(lambda: world.sandbox.faults_hit("me"), 20, every=0.02, why="it is asked who we are")
    assert doctor(d, NAME).first is None


def test_stop_in_the_middle(world):
    d = ready(world)
    world.sandbox.fault("me", "delay", delay_ms=3000, times=1)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20 * base.PATIENCE)
        s.connect(str(d.socket))
        s.sendall(b'{"verb":"doctor","names":["%s"]}\n' % NAME.encode())
        base.until(lambda: world.sandbox.faults_hit("me"), 20, every=0.02, why="it is asked who we are")
        d.stop()
        assert b'"code":75' in s.recv(65536)
