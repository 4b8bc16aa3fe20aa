# SPDX-License-Identifier: Apache-2.0
"""What is interrupted (scenarios), where (points), and what must hold afterwards."""

import collections
import contextlib
import signal
import subprocess

import trace
from stage import Broken, base, need, status_of

# Calls that change something outside of the process, or may fail for a reason outside of it.
CALLS = (
    "openat openat2 read write pwrite64 fsync fdatasync rename renameat renameat2 unlink unlinkat symlinkat mkdir mkdirat fchmod "
    "ftruncate flock close socket bind connect accept4 sendto sendmsg recvfrom"
).split()
KILL_CALLS = [c for c in CALLS if c != "read"]

Point = collections.namedtuple("Point", "scenario role call n action again", defaults=("", ""))
Point.__str__ = lambda p: "/".join(str(x) for x in p if x != "")


def parse(text):
    """scenario/role/call/n/action[/call:n]"""
    parts = text.split("/")
    return Point(parts[0], parts[1], parts[2], int(parts[3]), *parts[4:])


class Issue:
    """The first certificate of a domain that was added to the YAML of a running daemon."""

    name = "issue"
    roles = ("main", "pool")

    def prepare(self, stage):
        d = stage.daemon()
        d.start()
        d.reload()  # the pool has its thread now
        return d, stage.new_name()

    def trigger(self, stage, d, name):
        stage.add_domain(d, name)
        return True

    ends_with = (1, 0)  # what the CA's ledger shows at the end: orders, reissues

    def may_be_forgotten(self, _acknowledged):
        """May a crash undo what was asked for? Then it is asked for again."""
        return False


class Command(Issue):
    """dvcertctl asks for something. "accepted" means begun, and begun is durable with the first write of the record."""

    verb = ()

    def prepare(self, stage):
        d, name = stage.issued()
        d.start()
        d.reload()
        return d, name

    def trigger(self, stage, d, name):
        return d.ctl(self.verb[0], name, *self.verb[1:]).code == 0

    def may_be_forgotten(self, _acknowledged):
        return True


class Reissue(Command):
    name = "reissue"
    verb = ("reissue",)
    ends_with = (1, 1)


class Deploy(Command):
    name = "deploy"
    verb = ("deploy",)


class Revoke(Command):
    """The order is over with its only certificate, and what is revoked is replaced at once."""

    name = "revoke"
    verb = ("revoke", "--yes")
    ends_with = (2, 0)

    def may_be_forgotten(self, acknowledged):
        return not acknowledged  # here the answer comes when the CA has done it


class Start(Issue):
    """From exec on, with an empty state folder; only the main thread is counted."""

    name = "start"
    roles = ("exec",)

    def prepare(self, stage):
        name = stage.new_name()
        return stage.daemon(name), name


class Restart(Start):
    """From exec on, with a certificate that is good."""

    name = "restart"

    def prepare(self, stage):
        return stage.issued()


SCENARIOS = {s.name: s for s in (Issue(), Reissue(), Revoke(), Deploy(), Start(), Restart())}


def spawn_under(d, prefix):
    """The daemon with strace beside it; d.proc is the daemon itself."""
    plain = d._argv
    d._argv = lambda *args: ["strace", *prefix[1:], *plain(*args)]
    try:
        d.spawn()
    finally:
        d._argv = plain


def is_over(stage, d, name):
    return d.proc.poll() is not None or stage.is_settled(d, name)


def reap(d):
    code = d.proc.wait(10 * base.PATIENCE)
    d.proc = None
    return code


@contextlib.contextmanager
def interrupted(stage, scenario, role, call, inject, out):
    """Runs the scenario with one injection: yields (daemon, name, was it acknowledged). Whether the daemon still lives then is
    the caller's to see. A daemon whose point was good is dropped with all that it wrote."""
    sc = SCENARIOS[scenario]
    d, name = sc.prepare(stage)
    log = d.dir / out
    tracer = None
    try:
        if role == "exec":
            spawn_under(d, trace.under(log, call, inject, follow=False))
            acknowledged = True
        else:
            tracer = trace.Tracer(trace.thread_of(d, role), log, [call], inject)
            acknowledged = sc.trigger(stage, d, name)
        yield d, name, acknowledged, log
    finally:
        if tracer:
            tracer.end()
    stage.drop(d)


def enumerate_calls(stage, scenario):
    """One undisturbed run: {role: [Call]}."""
    sc = SCENARIOS[scenario]
    d, name = sc.prepare(stage)
    out = d.dir / "strace"
    found = {}
    calls = [f"?{c}" for c in CALLS]
    if sc.roles == ("exec",):
        spawn_under(d, trace.options(out, calls) + ["-D"])
        stage.settle(d, name)
        d.stop()
        found["exec"] = trace.calls_of(out)
    else:
        tids = {role: trace.thread_of(d, role) for role in sc.roles}
        tracer = trace.Tracer(d.proc.pid, out, calls, more=["-f", "-ff"])
        sc.trigger(stage, d, name)
        stage.settle(d, name)
        tracer.end()
        for role, tid in tids.items():
            found[role] = trace.calls_of(f"{out}.{tid}")
    stage.judge(d if d.alive() else d.start(), name, {sc.ends_with})
    stage.drop(d)
    return found


# --- killed ---


def run_kill(stage, point):
    """Killed before the call, started again, perhaps killed again, started again: "killed" or "missed"."""
    sc = SCENARIOS[point.scenario]
    with interrupted(stage, point.scenario, point.role, point.call, f"signal=KILL:when={point.n}", "strace") as (d, name, ack, _):
        base.until(lambda: is_over(stage, d, name), 60, why="killed, or done")
        result = "missed" if d.proc.poll() is None else "killed"
        if result == "killed":
            code = reap(d)
            need(code == -signal.SIGKILL, f"ended with {code}")
            if point.again:
                kill_again(stage, d, name, point.again)
        else:
            d.kill9()  # the kill still waits for its call, and would come while we look
        d.start()
        settle_and_judge(stage, sc, d, name, ack)
        d.stop()
    return result


def settle_and_judge(stage, sc, d, name, acknowledged):
    """What was forgotten is asked for once more, and finds whatever the first attempt left."""
    stage.settle(d, name)
    if stage.ledger(name) != sc.ends_with and sc.may_be_forgotten(acknowledged):
        need(stage.ledger(name) == (1, 0), f"half of it is forgotten: {stage.sandbox.orders(name)}")
        need(sc.trigger(stage, d, name), "asked for once more, and refused")
        stage.settle(d, name)
    stage.judge(d, name, {sc.ends_with})


def kill_again(stage, d, name, again):
    """During recovery; where that is over before, at its end."""
    call, n = again.split(":")
    spawn_under(d, trace.under(d.dir / "strace2", call, f"signal=KILL:when={n}"))
    try:
        base.until(lambda: is_over(stage, d, name), 60, why="killed again, or done")
    finally:
        if d.proc.poll() is None:
            d.kill9()
        else:
            d.proc = None


# --- errors ---

EX_IOERR = 74
FILE_ERRORS = {
    "openat": ["EMFILE", "EIO", "ENOSPC"],
    "openat2": ["EMFILE", "EIO"],
    "read": ["EIO", "EINTR"],
    "write": ["ENOSPC", "EIO", "EINTR"],
    "pwrite64": ["ENOSPC", "EIO"],
    "fsync": ["EIO", "ENOSPC"],
    "renameat": ["ENOSPC", "EIO"],
    "renameat2": ["ENOSPC", "EIO"],
    "unlinkat": ["EIO"],
    "symlinkat": ["ENOSPC", "EIO"],
    "mkdir": ["ENOSPC", "EIO"],
    "mkdirat": ["ENOSPC", "EIO"],
    "fchmod": ["EIO"],
    "ftruncate": ["EIO"],
    "close": ["EIO", "EINTR"],
}
SOCKET_ERRORS = {
    "connect": ["ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH"],
    "sendto": ["ECONNRESET", "ETIMEDOUT", "EINTR"],
    "recvfrom": ["ECONNRESET", "ETIMEDOUT", "EINTR"],
    "accept4": ["EMFILE", "ECONNABORTED", "EINTR"],
    "sendmsg": ["EINTR", "ECONNREFUSED"],
    "socket": ["EMFILE", "ENOBUFS"],
    "close": ["EINTR"],
}


def errors_for(call):
    """Errors that this call may really give: an eventfd or a pipe of the process itself gives none."""
    if call.name == "socket":
        return SOCKET_ERRORS["socket"]
    if call.target.startswith(("TCP:", "UNIX", "NETLINK", "UDP:")):
        return SOCKET_ERRORS.get(call.name, [])
    if call.target.startswith("/") and not call.target.startswith(("/dev", "/proc", "/sys")):
        return FILE_ERRORS.get(call.name, [])
    return []


def is_ours(call_line, d):
    """Is what was hit below the state folder?"""
    return f"<{d.state_dir}/" in call_line or f"<{d.state_dir}>" in call_line


def ensure_known(d, name):
    """A configuration that could not be read is read again; that is a person's part."""
    if d.alive() and status_of(d, name) is None:
        d.reload()


def run_error(stage, point):
    """One call fails. The process goes on, or ends with EX_IOERR because of a failed fsync; "hit" or "missed"."""
    sc = SCENARIOS[point.scenario]
    args = (stage, point.scenario, point.role, point.call, f"error={point.action}:when={point.n}", "strace")
    with interrupted(*args) as (d, name, ack, log):
        if point.role != "exec":
            base.until(lambda: is_over(stage, d, name) or trace.injected(log), 60, why="hit, or done")
        with contextlib.suppress(subprocess.TimeoutExpired, base.TimedOut):
            base.until(lambda: is_over(stage, d, name), 4, why="over")
        hit = trace.injected(log)
        if hit and point.action not in errors_for(trace.Call(point.call, point.n, trace.target_of(hit.split("(", 1)[1]))):
            return "missed"  # another call came in between, and this error is none that it can give
        judge_exit(d, point, hit)
        if not hit and d.alive():
            d.kill9()  # the error still waits for its call
        if d.proc is None:
            d.start()
        ensure_known(d, name)
        settle_or_restart(stage, d, name)
        settle_and_judge(stage, sc, d, name, ack)
        d.stop()
    return "hit" if hit else "missed"


def judge_exit(d, point, hit):
    """Ends the daemon's bookkeeping when it has ended; a failed fsync of ours must have ended it."""
    fatal = bool(hit) and point.call in ("fsync", "fdatasync") and is_ours(hit, d)
    if fatal:
        try:
            d.proc.wait(5 * base.PATIENCE)
        except subprocess.TimeoutExpired:
            raise Broken(f"goes on after a failed fsync: {hit}") from None
    code = d.proc.poll()
    if code is None:
        return
    d.proc = None
    if fatal:
        need(code == EX_IOERR, f"exit {code} after a failed fsync: {hit}")
    else:
        need(point.role == "exec" and code > 0, f"ended with {code} by {hit}\n{d.log(20)}")


def settle_or_restart(stage, d, name):
    """What a person would do with a domain that failed: look, and start again."""
    base.until(lambda: stage.is_settled(d, name) or (status_of(d, name) or {}).get("state") == "failed", 60, why="settled or failed")
    if not stage.is_settled(d, name):
        d.restart()
    stage.settle(d, name)
