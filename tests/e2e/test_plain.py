# SPDX-License-Identifier: Apache-2.0
"""Nothing goes wrong: from a line of YAML to a certificate in use, and its renewal."""

import json
import os
import re
import shutil
import subprocess
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lib import base, pki
from lib.sandbox import assert_one_order

NAME = "www.example.jp"
WELL_KNOWN = ".well-known/pki-validation/fileauth.txt"
RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


def test_one_domain(world):
    d = world.simple(NAME).start()
    (status,) = d.wait(NAME)
    cert = world.assert_good(d, NAME)
    order = assert_one_order(world.sandbox, NAME)

    assert status["names"] == [NAME]
    assert (status["order_id"], status["certificate_id"]) == (order["order_id"], order["certificate_id"])
    assert status["generation"] == 1
    assert status["not_after"] == cert.not_valid_after.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert status["not_before"] == cert.not_valid_before.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert RFC3339.match(status["next"]["at"]) and status["next"]["action"]
    assert [(t["target"], t["state"]) for t in status["deploy"]] == [(f"scutum:{NAME}", "done")]

    (push,) = world.sandbox.pushes(NAME)
    assert push["id"] == "ABC1234" and push["names"] == [NAME] and push["intermediates"] == 1
    assert pki.mode_of(d.state_dir) == 0o711


def test_what_one_certificate_costs(world):
    """Requests by endpoint: more would be wasted on a limit that all certificates of the account share."""
    d = world.simple(NAME).start()
    d.wait(NAME)
    counts = world.sandbox.counts()
    assert counts["order"] == 1 and counts["download"] == 1 and counts["scutum"] == 1, counts
    assert counts["check"] == 1 and counts["info"] <= 2 and counts["token"] <= 1, counts
    assert counts["find"] == 0 and counts["429"] == 0 and counts["other"] == 0, counts
    world.sandbox.forget_requests()
    d.restart()
    d.wait(NAME)
    assert all(n == 0 for n in world.sandbox.counts().values()), "a valid certificate needs no requests"


def test_proof_is_taken_away_again(world):
    d = world.simple(NAME).start()
    d.wait(NAME)
    root = world.web.webroot(NAME)
    base.until(lambda: not (root / WELL_KNOWN).exists(), why="fileauth.txt is removed")
    assert (root / WELL_KNOWN).parent.is_dir()
    assert list((root / WELL_KNOWN).parent.iterdir()) == []


def test_state_file_is_readable_and_versioned(world):
    d = world.simple(NAME).start()
    d.wait(NAME)
    record = json.loads((d.state_dir / "state" / f"{NAME}.json").read_text())
    assert record["version"] == 1


@pytest.mark.parametrize(
    "key, kind",
    [
        ({"type": "rsa", "bits": 2048}, ("RSA", rsa.RSAPublicKey, 2048)),
        ({"type": "rsa", "bits": 3072}, ("RSA", rsa.RSAPublicKey, 3072)),
        ({"type": "ec", "curve": "P-256"}, ("EC", ec.EllipticCurvePublicKey, 256)),
        ({"type": "ec", "curve": "P-384"}, ("EC", ec.EllipticCurvePublicKey, 384)),
    ],
    ids=["rsa2048", "rsa3072", "p256", "p384"],
)
def test_key_types_and_several_names(world, key, kind):
    world.start_ca()
    world.start_web()
    more = ["example.jp", "mail.example.jp"]
    d = world.make_daemon(world.domain(NAME, dns_names=more, key=key)).start()
    d.wait(NAME)
    cert = world.assert_good(d, NAME, names=[NAME, *more])
    assert isinstance(cert.public_key(), kind[1]) and cert.public_key().key_size == kind[2]
    assert f"-----BEGIN {kind[0]} PRIVATE KEY-----\n" in (d.live(NAME) / "privkey.pem").read_text()


def test_twenty_at_once(world):
    names = [f"n{i:02}.example.jp" for i in range(20)]
    d = world.simple(*names).start()
    d.wait(*names, timeout=90)
    for name in names:
        world.assert_good(d, name)
    assert len(world.sandbox.orders()) == 20
    assert world.sandbox.counts()["429"] == 0


def test_one_webroot_for_many(world):
    """fileauth.txt exists once per webroot, so these have to take turns; none may disturb another."""
    names = [f"s{i}.example.jp" for i in range(4)]
    world.start_ca()
    world.start_web()
    shared = world.web.share(*names)
    dcv = {"method": "http-token", "webroot": str(shared)}
    d = world.make_daemon(*[world.domain(n, dcv=dcv) for n in names]).start()
    d.wait(*names, timeout=120)
    for name in names:
        world.assert_good(d, name)


def test_a_name_that_cannot_be_validated_does_not_block_its_webroot(world):
    """Two names share a webroot, but the web server serves one of them from elsewhere: its order pauses, the other one
    gets its turn, and when the web server is mended the first one goes on."""
    bad, good = "bad.example.jp", "good.example.jp"
    world.start_ca()
    world.start_web()
    shared = world.web.share(good)
    elsewhere = world.web.webroot(bad)
    dcv = {"method": "http-token", "webroot": str(shared)}
    d = world.make_daemon(world.domain(bad, dcv=dcv)).start()
    d.wait_error(bad, "404")
    d.config["domains"].append(world.domain(good, dcv=dcv))
    d.write_config()
    d.reload()
    d.wait(good, timeout=60)
    world.assert_good(d, good)
    elsewhere.rmdir()
    elsewhere.symlink_to(shared)
    d.wait(bad, timeout=120)
    world.assert_good(d, bad)
    assert not (shared / ".well-known/pki-validation/fileauth.txt").exists()


def test_responder_behind_nginx(world):
    names = [f"r{i}.example.jp" for i in range(5)]
    port = world.ports.take()
    world.start_ca()
    world.start_web(responder_port=port)
    dcv = {"method": "http-token", "responder": True}
    d = world.make_daemon(
        *[world.domain(n, dcv=dcv) for n in names], responder={"listen": f"127.0.0.1:{port}"}
    ).start()
    d.wait(*names, timeout=90)
    for name in names:
        world.assert_good(d, name)
    assert list(world.web.www.iterdir()) == []


def watch_live(d, name, stop, wrong):
    """Reads key and certificate as a server would, again and again: they match at every moment."""
    while not stop.is_set():
        try:
            folder = d.live(name).resolve(strict=True)
            pki.assert_key_matches(folder)
            stop.wait(0.02)
        except Exception as e:  # noqa: BLE001: whatever it is, it is the finding
            wrong.append(repr(e))
            return


def test_renewal(world):
    """A certificate of 20 s, renewed 10 s before its end: a new key, the order is reissued, the link never dangles."""
    world.start_ca("--validity", "20s")
    world.start_web()
    d = world.make_daemon(world.domain(NAME, renew_before="10s")).start()
    d.wait(NAME)
    first = world.assert_good(d, NAME, verify=False)
    stop, wrong = threading.Event(), []
    watcher = threading.Thread(target=watch_live, args=(d, NAME, stop, wrong))
    watcher.start()
    try:
        base.until(lambda: d.status(NAME)["generation"] == 2, timeout=40, why="generation 2")
        d.wait(NAME)
    finally:
        stop.set()
        watcher.join()
    assert not wrong, wrong
    second = world.assert_good(d, NAME, reissues=1, generation=2, verify=False)
    assert first.serial_number != second.serial_number
    assert pki.public_bytes(first.public_key()) != pki.public_bytes(second.public_key())
    assert (second.not_valid_before - first.not_valid_before).total_seconds() >= 9
    old = d.state_dir / "archive" / NAME / "0001"
    assert sorted(p.name for p in old.iterdir()) == pki.FILES


def test_renew_by_hand(world):
    d = world.simple(NAME).start()
    d.wait(NAME)
    answer = d.ctl("renew", NAME)
    assert answer.code == 0 and answer.json["accepted"] == [NAME], answer
    base.until(lambda: d.status(NAME)["generation"] == 2, timeout=30, why="generation 2")
    d.wait(NAME)
    world.assert_good(d, NAME, reissues=1, generation=2)
    refused = d.ctl("renew", "other.example.jp")
    assert refused.code != 0 and "other.example.jp" in refused.out + refused.err


def test_key_reuse(world):
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME, key={"type": "ec", "curve": "P-256", "reuse": True})).start()
    d.wait(NAME)
    first = world.assert_good(d, NAME)
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: d.status(NAME)["generation"] == 2, timeout=30, why="generation 2")
    d.wait(NAME)
    second = world.assert_good(d, NAME, reissues=1, generation=2)
    assert pki.public_bytes(first.public_key()) == pki.public_bytes(second.public_key())


def test_dvcertctl_for_people(world):
    d = world.simple(NAME)
    gone = d.ctl("status", as_json=False)
    assert gone.code == 69 and "dvcertd is not running" in gone.err and str(d.socket) in gone.err
    d.start()
    d.wait(NAME)
    table = d.ctl("status", as_json=False)
    lines = table.out.split("\n")
    assert table.code == 0 and lines[0].split() == ["NAME", "STATE", "NEXT", "EXPIRES", "PROBLEM"]
    assert lines[1].split()[:2] == [NAME, "valid"] and "1 domain: 1 valid" in table.out
    assert "\033" not in table.out
    assert "www.example.jp: valid" in d.ctl("show", NAME, as_json=False).out
    shown = d.ctl("show", NAME).json["domain"]
    assert shown["common_name"] == NAME and shown["product"] == "ssl_dv_geotrust"
    assert set(shown["files"]) >= {"cert", "chain", "fullchain", "privkey"}
    assert all(os.path.exists(path) for path in shown["files"].values())
    history = d.ctl("history", NAME)
    assert history.code == 0 and len(history.json["history"]) >= 3
    assert all(RFC3339.match(e["at"]) and e["event"] for e in history.json["history"])
    for verb in ("show", "history", "wait"):
        assert d.ctl(verb, "none.example.jp").code not in (0, 69), verb
    assert d.ctl("stauts").code == 64


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become somebody else")
def test_other_users_may_not_talk_to_it(world):
    d = world.simple(NAME).start()
    program = shutil.copy(base.program("dvcertctl"), world.dir / "dvcertctl")
    done = subprocess.run(
        [program, "-s", str(d.socket), "status"], capture_output=True, text=True, user=65534, group=65534,
        extra_groups=[], env=base.clean_env(), timeout=20,
    )  # fmt: skip
    assert done.returncode == 77 and NAME not in done.stdout, done
    assert d.alive()


def test_wait_times_out(world):
    d = world.simple(NAME, ca=["--issue-delay", "1h"]).start()
    answer = d.ctl("wait", NAME, "--timeout", "2s")
    assert answer.code == 75 and answer.json["result"] == "timeout", answer


def test_service_manager_is_told(world):
    d = world.simple(NAME)
    d.env = {"WATCHDOG_USEC": "1000000"}
    d.start()
    mark = d.notify.mark()
    d.wait(NAME)
    d.notify.wait("WATCHDOG", after=d.notify.wait("WATCHDOG", after=mark))
    base.until(lambda: "1" in (d.notify.last("STATUS") or ""), why="STATUS with counts")
    d.stop()
    assert d.notify.last("STOPPING") == "1"


def test_socket_is_gone_after_stop_and_stale_one_is_replaced(world):
    d = world.simple(NAME).start()
    assert d.socket.is_socket()
    d.stop()
    assert not d.socket.exists()
    d.start()
    d.kill9()
    assert d.socket.is_socket()
    d.start()
    d.wait(NAME)
