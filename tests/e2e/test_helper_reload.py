# SPDX-License-Identifier: Apache-2.0
"""dvcertd-helper and a systemd that does what a test says (lib/fakesystemd.py): every way in which a reload can end."""

import os
import time

import pytest
from lib import base, fakesystemd, helper

UNIT = "nginx.service"


@pytest.fixture
def box():
    b = helper.Box()
    b.systemd = fakesystemd.FakeSystemd(b.dir / "bus")
    b.env = {"DBUS_SYSTEM_BUS_ADDRESS": b.systemd.address}
    yield b
    b.systemd.close()
    b.close()


def script(box, body, mode=0o755):
    path = box.dir / "bin" / "test.sh"
    path.parent.mkdir(mode=0o755)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return str(path)


def ask(box, target):
    return box.by_socket(box.request(target))


# Before the answer to the call, and after it: systemd does both.
@pytest.mark.parametrize("how", ["done", "early"])
def test_reload(box, how):
    target = box.reload(UNIT)
    box.configure()
    box.systemd.units[UNIT] = how
    assert ask(box, target).ok
    assert box.systemd.calls == [("reload", UNIT)]


@pytest.mark.parametrize("how", ["failed", "canceled", "timeout", "dependency", "skipped"])
def test_reload_that_fails(box, how):
    target = box.reload(UNIT)
    box.configure()
    box.systemd.units[UNIT] = how
    ask(box, target).failed("reload", UNIT, how, f"journalctl -u {UNIT}")


def test_unknown_unit(box):
    target = box.reload("no-such.service")
    box.configure()
    ask(box, target).failed("reload", "no-such.service", "reload.unit")


def test_reload_that_is_not_allowed(box):
    target = box.reload(UNIT)
    box.configure()
    box.systemd.units[UNIT] = "denied"
    ask(box, target).failed("reload", UNIT, "systemctl enable --now dvcertd-helper.socket")


# A job without an end, a systemd without an answer.
@pytest.mark.parametrize("how", ["hang", "mute"])
def test_reload_that_hangs(box, how):
    target = box.reload(UNIT, timeout="2s")
    box.configure()
    box.systemd.units[UNIT] = how
    started = time.monotonic()
    ask(box, target).failed("reload", UNIT, "in time")
    assert time.monotonic() - started < 8 * base.PATIENCE


def test_bus_that_goes_away(box):
    target = box.reload(UNIT)
    box.configure()
    box.systemd.units[UNIT] = "leave"
    ask(box, target).failed("reload", UNIT)


def test_no_bus(box):
    if os.path.exists("/run/systemd/private"):
        pytest.skip("this machine has a systemd, and it would be asked")
    target = box.reload(UNIT)
    box.configure()
    box.env["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={box.dir}/nobody"
    ask(box, target).failed("reload", "systemd")


def test_unit_that_root_did_not_name(box):
    box.reload(UNIT)
    box.configure()
    box.systemd.units["sshd.service"] = "done"
    for target in ("reload:sshd.service", "reload:", "reload:nginx.service;id", "reload:nginx"):
        ask(box, target).failed("refused", "reload dvcertd")
    assert box.systemd.calls == []


# --- the test before it ---


def test_good_test(box):
    test = script(box, "echo fine")
    target = box.reload(UNIT, test=[test, "-t", "a b"])
    box.configure()
    box.systemd.units[UNIT] = "done"
    assert ask(box, target).ok
    assert box.systemd.calls == [("test", test, "-t", "a b"), ("reload", UNIT)]


def test_bad_test_prevents_the_reload(box):
    test = script(box, 'echo first; printf "nginx: [emerg]\\tunknown directive\\n\\001configuration test failed\\n\\n" >&2; exit 1')
    target = box.reload(UNIT, test=[test])
    box.configure()
    box.systemd.units[UNIT] = "done"
    message = ask(box, target).failed("test", test, UNIT, "was not reloaded", "[emerg] unknown directive", "configuration test failed")
    assert message.endswith("failed") and "\\x01" in message
    assert [c[0] for c in box.systemd.calls] == ["test"]


def test_test_that_floods(box):
    """More than any pipe holds: it must not stand still, and the end is what is told."""
    test = script(box, "i=0; while [ $i -lt 3000 ]; do echo line $i 0123456789012345678901234567890123456789; i=$((i+1)); done; echo the end; exit 3")
    target = box.reload(UNIT, test=[test])
    box.configure()
    assert ask(box, target).failed("test", "line 2999").endswith("the end")


def test_test_that_hangs(box):
    test = script(box, "echo still here; exec sleep 600")
    target = box.reload(UNIT, test=[test], timeout="2s")
    box.configure()
    ask(box, target).failed("test", test, "did not end in time", "still here")
    assert [c[0] for c in box.systemd.calls] == ["test"]


def test_timeout_is_for_both(box):
    test = script(box, "sleep 1.5")
    target = box.reload(UNIT, test=[test], timeout="3s")
    box.configure()
    box.systemd.units[UNIT] = "hang"
    started = time.monotonic()
    ask(box, target).failed("reload", "in time")
    assert time.monotonic() - started < 4.5 * base.PATIENCE


def test_test_that_may_not_be_run(box):
    target = box.reload(UNIT, test=[script(box, "exit 0")])
    box.configure()
    box.systemd.refuses_tests = True
    ask(box, target).failed("test", "dvcertd-helper.socket")


@pytest.mark.parametrize("how", ["writable", "missing", "not executable", "a folder", "in a loose folder", "of another"])
def test_test_program_that_others_may_change(box, how):
    if how == "of another" and not box.root:
        pytest.skip("needs root")
    test = script(box, "exit 0")
    target = box.reload(UNIT, test=[test])
    box.configure()
    box.systemd.units[UNIT] = "done"
    word = {
        "writable": lambda: os.chmod(test, 0o775) or "go-w",
        "missing": lambda: os.unlink(test) or "No such file",
        "not executable": lambda: os.chmod(test, 0o644) or "executed",
        "a folder": lambda: (os.unlink(test), os.mkdir(test)) and "executed",
        "in a loose folder": lambda: os.chmod(box.dir / "bin", 0o757) or "go-w",
        "of another": lambda: os.chown(test, helper.OTHER, helper.OTHER) or str(helper.OTHER),
    }[how]()
    ask(box, target).failed("test", "reload.test", word)
    assert box.systemd.calls == []
