# SPDX-License-Identifier: Apache-2.0
"""A deployment is done when it was seen: real web servers, reloaded under load, and what happens when they go on with the old one."""

import glob
import json
import os
import time

import pytest
from lib import base, frontends, pki

NAME = "www.example.jp"
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
DAY = 86400

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: servers that change their user")


def need(*programs):
    for program in programs:
        if not frontends.has(program):
            pytest.skip(f"{program} is not installed")


@pytest.fixture
def front(world):
    """Makes frontends; they end with the test."""
    made = []

    def make(kind, name=NAME):
        need({"apache": "apache2"}.get(kind, kind))
        port = world.ports.take()
        made.append(frontends.Frontend(kind, world.dir / f"{kind}{len(made)}", port, name).start())
        return made[-1]

    yield make
    for f in made:
        f.stop()


def one(world, *targets, name=NAME, **more):
    """One domain with these targets, not started."""
    if not world.sandbox:
        world.start_ca()
        world.start_web()
    return world.make_daemon({**world.domain(name, scutum=False), "deploy": list(targets)}, **more)


def await_served(f, serial, timeout=10.0):
    """What `verify` saw was one handshake; a server that is being reloaded may let an old worker answer a last one."""
    base.until(lambda: frontends.served_serial(f.port, NAME) == serial, timeout, why=f"{f.kind} serves {serial}")


def live_serial(d):
    return pki.serial_hex(pki.load_cert(d.live(NAME) / "cert.pem"))


def targets_of(d, name=NAME):
    return {t["target"]: t for t in d.ctl("show", name).json["domain"]["deploy"]}


@pytest.mark.parametrize("kind", ["nginx", "apache", "haproxy"])
def test_renewal_under_load(world, front, kind):
    """Issued, copied, reloaded and seen; then renewed while clients come all the time: none of them is turned away."""
    f = front(kind)
    d = one(world, *f.targets()).start()
    d.wait(NAME)
    first = live_serial(d)
    await_served(f, first)
    with frontends.Hammer(f.port, NAME) as hammer:
        assert d.ctl("renew", NAME).code == 0
        base.until(lambda: d.status(NAME)["generation"] == 2, 60, why="renewed")
        d.wait(NAME)
    second = live_serial(d)
    assert second != first
    await_served(f, second)
    assert hammer.done > 20 and not hammer.failed, (hammer.done, hammer.failed[:5])
    assert all(t["state"] == "done" for t in targets_of(d).values())


def test_copies_have_owner_group_and_mode(world, front):
    f = front("haproxy")
    d = one(world, f.files_target(owner="nobody", group="www-data", mode="0640"), *f.targets()[1:]).start()
    d.wait(NAME)
    bundle = f.tls / "bundle.pem"
    seen = [(bundle.owner(), bundle.group(), pki.mode_of(bundle))]
    assert bundle.read_text() == (d.live(NAME) / "fullchain.pem").read_text() + (d.live(NAME) / "privkey.pem").read_text()
    for generation in (2, 3):
        d.ctl("renew", NAME)
        base.until(lambda g=generation: d.status(NAME)["generation"] == g, 60, why="renewed")
        d.wait(NAME)
        seen.append((bundle.owner(), bundle.group(), pki.mode_of(bundle)))
    assert seen == [("nobody", "www-data", 0o640)] * 3
    assert pki.mode_of((d.live(NAME) / "privkey.pem").resolve()) == 0o640


def test_server_that_keeps_the_old_certificate(world, front):
    """A hook that says yes and does nothing: the domain is not valid, and says why, until somebody mends the hook."""
    f = front("nginx")
    d = one(world, *f.targets(settle="1s")).start()
    d.wait(NAME)
    good = f.script.read_text().split("\n", 1)[1]
    f.write_script("exit 0")
    d.ctl("renew", NAME)
    base.until(lambda: d.status(NAME)["generation"] == 2, 60, why="renewed")
    status = d.wait_error(NAME, "not-served")
    assert status["state"] == "deploying"
    old = pki.serial_hex(pki.load_cert(d.state_dir / "archive" / NAME / "0001" / "cert.pem"))
    assert old in status["error"]["message"].lower().replace(":", "")
    d.restart()
    d.wait_error(NAME, "not-served")
    f.write_script(good)
    assert d.ctl("deploy", NAME).code == 0
    d.wait(NAME)
    world.assert_good(d, NAME, reissues=1, generation=2)


def test_renewed_while_a_server_settles(world, front):
    """A look that has an hour to become right does not hold up the next certificate."""
    f = front("nginx")
    d = one(world, *f.targets(settle="1h")).start()
    d.wait(NAME)
    good = f.script.read_text().split("\n", 1)[1]
    f.write_script("exit 0")
    d.ctl("renew", NAME)
    base.until(lambda: d.status(NAME)["generation"] == 2, 60, why="renewed")
    base.until(lambda: [t["state"] for t in targets_of(d).values()] == ["done", "done", "todo"], why="the look has begun")
    f.write_script(good)
    d.ctl("renew", NAME)
    base.until(lambda: d.status(NAME)["generation"] == 3, 60, why="renewed again")
    d.wait(NAME)
    await_served(f, d.status(NAME)["serial"])


def test_broken_configuration_of_the_server(world, front):
    """`nginx -t` fails: the running server stays as it is, and the reload is tried again until somebody mended it."""
    f = front("nginx")
    d = one(world, *f.targets()).start()
    d.wait(NAME)
    first = live_serial(d)
    await_served(f, first)
    config = f.config.read_text()
    f.config.write_text(config.replace("location /", "loccation /"))
    d.ctl("renew", NAME)
    base.until(lambda: d.status(NAME)["generation"] == 2, 60, why="renewed")
    d.wait_error(NAME, "loccation")
    assert frontends.served_serial(f.port, NAME) == first
    f.config.write_text(config)
    d.wait(NAME, timeout=90)
    await_served(f, live_serial(d))


def test_target_that_is_added_later(world, front):
    """What is behind it in the list has not seen it and runs again."""
    f = front("haproxy")
    d = one(world, *f.targets()[1:2]).start()
    d.wait(NAME)
    before = targets_of(d)[f"exec:{f.script}"]["at"]
    time.sleep(1.1)  # times have seconds
    d.config["domains"][0]["deploy"] = f.targets()
    d.write_config()
    d.reload()
    d.wait(NAME)
    shown = targets_of(d)
    assert list(shown) == [f"files:{f.tls}/bundle.pem", f"exec:{f.script}", f"verify:127.0.0.1:{f.port}"]
    assert shown[f"exec:{f.script}"]["at"] > before
    await_served(f, live_serial(d))


def test_copy_that_cannot_be_written_holds_up_nobody(world, front):
    f = front("haproxy")
    missing = world.dir / "missing"
    d = one(world, {"files": {"bundle": str(missing / "x.pem")}}, *f.targets()).start()
    d.wait_error(NAME, str(missing))
    base.until(lambda: [t["state"] for t in targets_of(d).values()] == ["todo", "done", "done", "done"], why="the others are done")
    await_served(f, live_serial(d))
    missing.mkdir()
    d.wait(NAME)
    assert (missing / "x.pem").exists()


def test_rollback(world, front):
    f = front("nginx")
    d = one(world, *f.targets()).start()
    d.wait(NAME)
    assert d.ctl("rollback", NAME).code == 1
    first = live_serial(d)
    await_served(f, first)
    d.ctl("renew", NAME)
    base.until(lambda: d.status(NAME)["generation"] == 2, 60, why="renewed")
    d.wait(NAME)
    second = live_serial(d)
    await_served(f, second)
    answer = d.ctl("rollback", NAME)
    assert answer.code == 0 and answer.json["generation"] == 1 and answer.json["left"] == 2, answer
    assert os.readlink(d.live(NAME)) == f"../archive/{NAME}/0001"
    d.wait(NAME)
    assert d.status(NAME)["serial"] == first
    await_served(f, first)
    d.restart()
    d.wait(NAME)
    await_served(f, first)
    assert d.ctl("rollback", NAME).json["generation"] == 2
    d.wait(NAME)
    await_served(f, second)
    assert d.ctl("rollback", NAME).code == 0
    # The next one gets a number of its own, inside the same plan.
    d.wait(NAME)
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: d.status(NAME)["generation"] == 3, 60, why="renewed")
    d.wait(NAME)
    world.assert_good(d, NAME, reissues=2, generation=3)


def test_rollback_of_a_damaged_pair(world):
    d = world.simple(NAME).start()
    d.wait(NAME)
    d.ctl("renew", NAME)
    base.until(lambda: d.status(NAME)["generation"] == 2, 60, why="renewed")
    d.wait(NAME)
    old = d.state_dir / "archive" / NAME / "0001"
    (old / "privkey.pem").write_bytes((d.live(NAME) / "privkey.pem").read_bytes())
    answer = d.ctl("rollback", NAME)
    assert answer.code == 1 and "do not belong together" in answer.err
    assert os.readlink(d.live(NAME)) == f"../archive/{NAME}/0002" and d.status(NAME)["generation"] == 2


def test_waf_that_lags(world, front):
    """Scutum says ok, and clients see the new certificate only some seconds later: that is what settle is for."""
    waf = front("haproxy")
    d = one(
        world,
        {"scutum": {"host": NAME, "id": "ABC1234", "api_key_file": "scutum-key"}},
        {"verify": {"connect": f"127.0.0.1:{waf.port}", "settle": "60s"}},
    ).start()
    base.until(lambda: world.sandbox.pushes(NAME), 60, why="pushed")
    base.until(lambda: targets_of(d)["scutum:" + NAME]["state"] == "done", why="the push is done")
    time.sleep(3)  # the lag: it is the WAF's, nothing announces its end
    status = d.status(NAME)
    assert status["state"] == "deploying" and status["error"] is None
    live = d.live(NAME)
    (waf.tls / "bundle.pem").write_text((live / "fullchain.pem").read_text() + (live / "privkey.pem").read_text())
    os.system(str(waf.script))
    d.wait(NAME)
    assert len(world.sandbox.pushes(NAME)) == 1


def test_waf_that_says_ok_and_serves_the_old_one(world, front):
    waf = front("haproxy")
    d = one(
        world,
        {"scutum": {"host": NAME, "id": "ABC1234", "api_key_file": "scutum-key"}},
        {"verify": {"connect": f"127.0.0.1:{waf.port}", "settle": "2s"}},
    ).start()
    status = d.wait_error(NAME, "not-served")
    assert status["state"] == "deploying"
    assert [t["state"] for t in targets_of(d).values()] == ["done", "todo"]
    live = d.live(NAME)
    (waf.tls / "bundle.pem").write_text((live / "fullchain.pem").read_text() + (live / "privkey.pem").read_text())
    os.system(str(waf.script))
    d.wait(NAME, timeout=90)


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.skipif("san" in os.environ.get("DVCERT_BUILD", ""), reason="libfaketime and ASan exclude each other")
class TestDailyLook:
    """The clock is set forward by more than the look's pause (1,440 tempos: 24 minutes here)."""

    @staticmethod
    def world_with_clock(world, f):
        d = one(world, *f.targets(settle="1s"))
        stamp = world.dir / "stamp"
        stamp.write_text("+0\n")
        d.env.update(LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=str(stamp), FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
        d.start()
        d.wait(NAME)
        return d, stamp

    @staticmethod
    def looked_at(d):
        record = json.loads((d.state_dir / "state" / f"{NAME}.json").read_text())
        return record["deploy"][2].get("looked_at")

    def test_an_old_certificate_is_back(self, world, front):
        """Somebody restored the server from a backup: what was deployed is deployed again."""
        f = front("nginx")
        d, stamp = self.world_with_clock(world, f)
        d.ctl("renew", NAME)
        base.until(lambda: d.status(NAME)["generation"] == 2, 60, why="renewed")
        d.wait(NAME)
        old = d.state_dir / "archive" / NAME / "0001"
        (f.tls / "fullchain.pem").write_bytes((old / "fullchain.pem").read_bytes())
        (f.tls / "key.pem").write_bytes((old / "privkey.pem").read_bytes())
        os.system(str(f.script))
        gone = pki.serial_hex(pki.load_cert(old / "cert.pem"))
        base.until(lambda: frontends.served_serial(f.port, NAME) == gone, why="the old one is served")
        stamp.write_text("+1500\n")
        now = d.status(NAME)["serial"]
        base.until(lambda: frontends.served_serial(f.port, NAME) == now, 100, why="mended")
        d.wait(NAME)
        assert "not-served" in d.ctl("history", NAME, as_json=False).out
        world.assert_good(d, NAME, reissues=1, generation=2)

    def test_somebody_elses_certificate(self, world, front):
        """It may be there on purpose: loud, but nothing of the server is touched."""
        f = front("nginx")
        d, stamp = self.world_with_clock(world, f)
        frontends.make_placeholder(f.tls, NAME)
        os.system(str(f.script))
        ours = d.status(NAME)["serial"]
        base.until(lambda: frontends.served_serial(f.port, NAME) != ours, why="another one is served")
        key = (f.tls / "key.pem").read_bytes()
        stamp.write_text("+1500\n")
        status = d.wait_error(NAME, "not-served", timeout=100)
        assert status["state"] == "deploying"
        assert (f.tls / "key.pem").read_bytes() == key and frontends.served_serial(f.port, NAME) != ours
        assert d.ctl("deploy", NAME).code == 0
        d.wait(NAME)
        await_served(f, ours)

    def test_all_is_well(self, world, front):
        f = front("nginx")
        d, stamp = self.world_with_clock(world, f)
        before = base.until(lambda: self.looked_at(d), why="the look is on disk")
        stamp.write_text("+1500\n")
        base.until(lambda: self.looked_at(d) > before, 100, why="looked again")
        assert d.status(NAME)["state"] == "valid" and d.log().count("has generation 0001") == 3
