# SPDX-License-Identifier: Apache-2.0
"""Proofs in DNS by programs (providers of type exec): lego's contract to the letter, programs that misbehave, the adapters
of contrib/dns through the whole daemon."""

import http.server
import json
import os
import pathlib
import shutil
import stat
import threading
import time

import pytest
from lib import base, dnsmsg, nameserver
from lib.dnsworld import world  # noqa: F401 - takes the place of conftest's
from lib.nameserver import PRIMARY, ZONE
from test_dns_adapters import CONTRIB, DOUBLE

E2E = pathlib.Path(__file__).resolve().parent
NAME = "www.example.jp"
PLACE = f"_dnsauth.{NAME}"

# Changes the zone, and notes how it was called. Its folder's file "todo" holds Python to run first, a line for each call
# ("" = nothing); the last line stays.
HOOK = """#!/usr/bin/python3 -I
import fcntl, json, os, sys, time
began = time.monotonic()
folder = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, {e2e!r})
from lib import dnsmsg
mask = os.umask(0)
note = dict(
    argv=sys.argv[1:], env=open("/proc/self/environ").read().split("\\0")[:-1], cwd=os.getcwd(), umask=mask, pid=os.getpid(),
    sid=os.getsid(0), stdin=sys.stdin.read(), fds=sorted(int(f) for f in os.listdir("/proc/self/fd"))[:-1],
)
verb, fqdn, value = sys.argv[-3:]
with open(folder + "/todo", "r+") as f:
    fcntl.flock(f, fcntl.LOCK_EX)
    lines = f.read().split("\\n")
    todo = lines[0]
    if len(lines) > 1:
        f.seek(0)
        f.truncate()
        f.write("\\n".join(lines[1:]))

def done():
    with open(folder + "/calls", "a") as f:
        f.write(json.dumps(dict(note, began=began, ended=time.monotonic())) + "\\n")

def change():
    record = (fqdn.rstrip("."), "TXT", value)
    answer = dnsmsg.update({server!r}, {zone!r}, {key!r}, record + (1,) if verb == "present" else record)
    if answer.rcode != "NOERROR":
        sys.exit(answer.rcode)

try:
    exec(todo)
    change()
finally:
    done()
"""


class Hook:
    def __init__(self, world, name="hook"):
        self.dir = world.dir / name
        self.dir.mkdir()
        self.path = self.dir / "hook"
        self.path.write_text(HOOK.format(e2e=str(E2E), server=PRIMARY, zone=ZONE, key=nameserver.DAEMON))
        self.path.chmod(0o755)
        self.todo("")

    def todo(self, *lines):
        (self.dir / "todo").write_text("\n".join(lines))

    def provider(self, *args, **more):
        return {"type": "exec", "command": [str(self.path), *args], **more}

    def calls(self, verb=None):
        file = self.dir / "calls"
        found = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [c for c in found if verb is None or c["argv"][-3] == verb]


@pytest.fixture
def hook(world):  # noqa: F811
    return Hook(world)


def run(world, hook, *entries, args=(), **more):  # noqa: F811
    world.start_ca("--rate", "off")
    return world.make_daemon(*(entries or [world.entry(NAME)]), providers={"corp": hook.provider(*args, **more)}).start()


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# --- the contract ---


def test_contract(world, hook):
    names = ["example.jp", "*.example.jp", NAME]
    world.start_ca()
    d = world.make_daemon(world.entry(*names, folder="shop"), providers={"corp": hook.provider("-x", "two words")})
    d.env = {"CREDENTIALS_DIRECTORY": str(d.dir), "HTTPS_PROXY": "http://127.0.0.1:1", "SECRET": "s3cret", "HOME": "/root"}
    d.start()
    d.wait("shop")
    world.assert_clean(d, "shop")
    token = world.token("example.jp")
    for verb in ("present", "cleanup"):
        assert sorted(c["argv"] for c in hook.calls(verb)) == sorted(
            ["-x", "two words", verb, f"_dnsauth.{n}.", token] for n in ("example.jp", NAME)
        )
    for call in hook.calls():
        assert sorted(call["env"]) == [
            f"CREDENTIALS_DIRECTORY={d.dir}", "DVCERT_API=1", "DVCERT_NAME=shop",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]  # fmt: skip
        assert call["cwd"] == "/" and call["umask"] == 0o077 and call["stdin"] == "" and call["fds"] == [0, 1, 2]
        assert call["sid"] == call["pid"]


def test_environment_without_systemd(world, hook):
    d = run(world, hook)
    world.assert_done(d, NAME)
    assert {e.split("=")[0] for c in hook.calls() for e in c["env"]} == {"PATH", "DVCERT_API", "DVCERT_NAME"}


def test_never_two_at_once(world, hook):
    """Of one provider; another one's run beside them."""
    other = Hook(world, "other")
    for h in (hook, other):
        h.todo("time.sleep(0.05)")
    world.start_ca("--rate", "off")
    names = [f"n{i}.example.jp" for i in range(5)]
    more = [f"m{i}.example.jp" for i in range(3)]
    d = world.make_daemon(
        *[world.entry(n) for n in names], *[world.entry(n, provider="other") for n in more],
        providers={"corp": hook.provider(), "other": other.provider()},
    ).start()  # fmt: skip
    world.assert_done(d, *names, *more)
    spans = {h: sorted((c["began"], c["ended"]) for c in h.calls()) for h in (hook, other)}
    assert len(spans[hook]) == 10 and len(spans[other]) == 6
    for list_ in spans.values():
        assert all(a[1] < b[0] for a, b in zip(list_, list_[1:]))
    assert any(a[0] < b[1] and b[0] < a[1] for a in spans[hook] for b in spans[other])


# --- programs that fail ---


@pytest.mark.parametrize(
    "todo, said",
    [
        ("print('come back'); sys.exit(75)", r"present asks to be called again later: come back"),
        ("print('x' * 5000, 'no such zone é'); sys.exit(1)", r"present failed with exit code 1: .*no such zone"),
        ("os.write(2, b'\\x1b[31mred\\0\\n'); sys.exit(3)", r"present failed with exit code 3: .*red"),
        ("sys.stdout.write('bye'); sys.stdout.flush(); os.kill(os.getpid(), 9)", r"present was ended by signal 9: bye"),
    ],
    ids=["75", "1", "noise", "signal"],
)
def test_failure_is_shown_and_tried_again(world, hook, todo, said):
    hook.todo(todo, todo, "")
    d = run(world, hook)
    shown = d.wait_error(NAME, said)
    assert shown["state"] == "retrying" and shown["next"] == {"action": "publish", "at": shown["next"]["at"]}
    message = shown["error"]["message"]
    assert "DNS provider corp" in message and str(hook.path) in message and len(message) < 400
    assert all(c.isprintable() for c in message)
    world.assert_done(d, NAME)
    assert "\x1b" not in d.log() and "\0" not in d.log()


def test_cleanup_that_fails(world, hook):
    """The certificate is there; the record is removed later, and that is not forgotten over a restart."""
    fail = "if verb == 'cleanup': print('locked'); sys.exit(1)"
    hook.todo("", fail, fail, "")
    d = run(world, hook)
    d.wait(NAME)
    base.until(lambda: "proof-not-removed" in d.log(), 30, why="the warning")
    assert "cleanup failed with exit code 1: locked" in d.log()
    d.restart()
    world.assert_clean(d, NAME, timeout=30)
    world.assert_good(d, NAME)


def test_time_limit(world, hook):
    """It does not listen to SIGTERM, and neither does its child: both are gone, the next call is good."""
    pids = hook.dir / "pids"
    hook.todo(
        "import signal; signal.signal(15, signal.SIG_IGN); os.fork(); "
        f"open({str(pids)!r}, 'a').write(str(os.getpid()) + '\\n'); print('stuck', flush=True); time.sleep(600)",
        "",
    )
    d = run(world, hook, timeout="1s")
    d.wait_error(NAME, r"present did not end within 1 s: stuck")
    stuck = pids.read_text().split()
    assert len(stuck) == 2
    base.until(lambda: not any(is_alive(p) for p in stuck), 10, why="both are killed")
    world.assert_done(d, NAME)


def test_stop_while_it_hangs(world, hook):
    """stop() asserts exit 0 in time. The program ends too, and the next daemon finishes the same order."""
    pids = hook.dir / "pids"
    hook.todo(f"open({str(pids)!r}, 'w').write(str(os.getpid())); time.sleep(600)", "")
    d = run(world, hook)
    base.until(lambda: pids.exists() and pids.read_text(), 20, why="the program hangs")
    d.stop()
    base.until(lambda: not is_alive(pids.read_text()), 10, why="it is killed")
    d.start()
    world.assert_done(d, NAME)


def test_flood(world, hook):
    """100 MB of output: read and dropped, and not kept in memory."""
    hook.todo("[os.write(1, b'0123456789' * 6553 + b'\\n') for _ in range(1600)]")
    d = run(world, hook)
    world.assert_done(d, NAME)
    peak = int(pathlib.Path(f"/proc/{d.proc.pid}/status").read_text().split("VmHWM:")[1].split()[0])
    assert peak < (64 << 10) * (10 if "san" in str(base.BUILD) else 1), f"{peak} KiB"
    assert len(d.log()) < 100_000


def test_children_left_behind(world, hook):
    """They hold its output open and would run on: they are killed, and nobody waits for them."""
    pids = hook.dir / "pids"
    hook.todo(
        f"os.fork() or (open({str(pids)!r}, 'a').write(str(os.getpid()) + '\\n'), time.sleep(600), os._exit(0))",
    )
    began = time.monotonic()
    d = run(world, hook)
    world.assert_done(d, NAME)
    assert time.monotonic() - began < 30 * base.PATIENCE
    base.until(lambda: not any(is_alive(p) for p in pids.read_text().split()), 10, why="the children are killed")


def break_mode(path):
    path.chmod(0o644)
    return r"Permission denied; it must be a file that the daemon's user may execute", lambda: path.chmod(0o755)


def break_writable(path):
    path.chmod(0o757)
    return r"only its owner may write to it", lambda: path.chmod(0o755)


def break_group(path):
    path.chmod(0o775)
    return r"only its owner may write to it", lambda: path.chmod(0o755)


def break_missing(path):
    aside = path.with_suffix(".aside")
    path.rename(aside)
    return r"neither it nor the interpreter in its first line may be missing", lambda: aside.rename(path)


def break_interpreter(path):
    text = path.read_text()
    path.write_text(text.replace("/usr/bin/python3", "/usr/bin/no-python"))
    return r"neither it nor the interpreter in its first line may be missing", lambda: path.write_text(text)


def break_folder(path):
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.mkdir()
    return r"it must be a file that the daemon's user may execute", lambda: (path.rmdir(), aside.rename(path))


def break_owner(path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(path, 65534, -1)
    return r"it must belong to root or to the daemon's user", lambda: os.chown(path, 0, -1)


BREAKS = [break_mode, break_writable, break_group, break_missing, break_interpreter, break_folder, break_owner]


@pytest.mark.parametrize("how", BREAKS, ids=lambda f: f.__name__)
def test_program_that_cannot_be_run(world, hook, how):
    """The text says what to do, and doing it is enough."""
    said, mend = how(hook.path)
    d = run(world, hook)
    shown = d.wait_error(NAME, rf"DNS provider corp.*cannot run {hook.path}.*{said}")
    assert shown["state"] == "retrying" and PLACE in shown["error"]["message"]
    assert hook.calls() == []
    mend()
    world.assert_done(d, NAME)


# --- the adapters ---


def test_acme_dnsapi(world):
    """acme.sh's double, and a script as dns_nsupdate is: without a look at the value when it removes."""
    home = world.dir / "acme.sh"
    (home / "dnsapi").mkdir(parents=True)
    tool = Hook(world, "tool")
    log = world.dir / "acme-log"
    (home / "acme.sh").write_text(DOUBLE)
    (home / "dnsapi/dns_nsupdate.sh").write_text(
        "dns_nsupdate_info='nsupdate RFC 2136'\n"
        'dns_nsupdate_add() { [ "$NSUPDATE_SERVER" ] || { _err "no server"; return 1; }\n'
        '  _saveaccountconf NSUPDATE_SERVER "$NSUPDATE_SERVER"\n'
        f'  {tool.path} present "$1." "$2" || {{ _err "error updating domain"; return 1; }}; }}\n'
        f'dns_nsupdate_rm() {{ {tool.path} cleanup "$1." "$(cat {log})"; }}\n'
    )
    (world.dir / "dns_nsupdate.env").write_text(f"NSUPDATE_SERVER={PRIMARY}\n")
    (world.dir / "dns_nsupdate.env").chmod(0o600)
    adapter = shutil.copy(CONTRIB / "acme-dnsapi", world.dir / "acme-dnsapi")
    world.start_ca()
    command = [str(adapter), "-a", str(home), "-e", str(world.dir / "dns_nsupdate.env"), "dns_nsupdate"]
    d = world.make_daemon(world.entry(NAME), providers={"corp": {"type": "exec", "command": command}})
    world.hold_check()
    d.start()
    assert world.while_checked() == [(PLACE, "TXT", world.token(NAME))]
    log.write_text(world.token(NAME))
    world.assert_done(d, NAME)
    assert [c["argv"][:2] for c in tool.calls()] == [["present", f"{PLACE}."], ["cleanup", f"{PLACE}."]]
    assert stat.S_IMODE(pathlib.Path(adapter).stat().st_mode) & 0o022 == 0


def test_acme_dnsapi_without_its_setting(world):
    """What the script says is in status."""
    home = world.dir / "acme.sh"
    (home / "dnsapi").mkdir(parents=True)
    (home / "acme.sh").write_text(DOUBLE)
    (home / "dnsapi/dns_x.sh").write_text('dns_x_add() { _err "Please set X_Token"; return 1; }\ndns_x_rm() { : "$2"; }\n')
    adapter = shutil.copy(CONTRIB / "acme-dnsapi", world.dir / "acme-dnsapi")
    command = [str(adapter), "-a", str(home), "dns_x"]
    d = world.run(world.entry(NAME), providers={"corp": {"type": "exec", "command": command}})
    d.wait_error(NAME, r"exit code 1: Please set X_Token.*dns_x_add failed")


class Service(http.server.BaseHTTPRequestHandler):
    """What answers lego's httpreq, with a zone behind it. The first call finds it busy."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, body))
        self.send_response(503 if len(self.server.seen) == 1 else 200)
        self.end_headers()
        if len(self.server.seen) == 1:
            self.wfile.write(b"zone is locked\n")
            return
        record = (body["fqdn"].rstrip("."), "TXT", body["value"])
        dnsmsg.update(PRIMARY, ZONE, nameserver.DAEMON, (*record, 1) if self.path == "/api/present" else record)

    def log_message(self, *_args):
        pass


def test_lego_httpreq(world):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as service:
        service.seen = []
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        try:
            adapter = shutil.copy(CONTRIB / "lego-httpreq", world.dir / "lego-httpreq")
            command = [str(adapter), "-u", f"http://127.0.0.1:{service.server_port}/api"]
            d = world.run(world.entry(NAME), providers={"corp": {"type": "exec", "command": command}})
            d.wait_error(NAME, r"asks to be called again later: lego-httpreq: the service answered 503: zone is locked")
            world.assert_done(d, NAME)
        finally:
            service.shutdown()
            thread.join()
    record = {"fqdn": f"{PLACE}.", "value": world.token(NAME)}
    assert service.seen[:3] == [("/api/present", record), ("/api/present", record), ("/api/cleanup", record)]
    assert {path for path, _ in service.seen[3:]} <= {"/api/cleanup"}  # what was put up twice may be removed twice
