# SPDX-License-Identifier: Apache-2.0
"""SIGHUP and `dvcertctl reload`: all or nothing, and never a reason to spend money again."""

import pathlib
import re
import shutil
import signal
import time

from lib import base, yamlout
from lib.sandbox import assert_one_order

NAME = "www.example.jp"
OTHER = "new.example.jp"

BROKEN = "certcentral:\n  url: https://example.jp\n  no_such_key: 1\ndomains:\n\t- name: x\n"


def valid_world(world, *names):
    d = world.simple(*(names or (NAME,))).start()
    d.wait(*(names or (NAME,)))
    return d


def test_broken_file_changes_nothing(world):
    d = valid_world(world)
    before = d.status(NAME)
    loaded = d.status()["daemon"]["config_loaded_at"]
    d.write_config(BROKEN)
    d.reload()
    assert d.alive() and d.status(NAME) == before
    assert d.status()["daemon"]["config_loaded_at"] == loaded
    base.until(lambda: "dvcertd.yaml:" in d.log(), why="the place is in the log")
    # What is in force goes on working.
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: d.status(NAME)["generation"] == 2, timeout=30, why="generation 2")


def test_reload_verb_shows_all_problems(world):
    d = valid_world(world)
    d.config["certcentral"]["no_such_key"] = "1"
    d.config["domains"].append({"name": "../../etc"})
    d.write_config()
    answer = d.ctl("reload")
    assert answer.code == 78, answer
    problems = "\n".join([answer.json["error"], *answer.json.get("problems", [])])
    assert "no_such_key" in problems and "../../etc" in problems and "dvcertd.yaml:" in problems
    people = d.ctl("reload", as_json=False)
    assert people.code == 78 and people.err.count("dvcertd.yaml:") == 3 and "\\x" not in people.err
    assert all(line for line in people.err.rstrip("\n").split("\n"))
    assert d.status(NAME)["state"] == "valid"


def test_vanished_and_empty_file(world):
    d = valid_world(world)
    d.config_path.unlink()
    d.reload()
    assert d.status(NAME)["state"] == "valid"
    d.write_config("")
    d.reload()
    assert d.status(NAME)["state"] == "valid"
    d.write_config()
    assert d.ctl("reload").code == 0


def test_added_domain(world):
    d = valid_world(world)
    d.config["domains"].append(world.domain(OTHER))
    d.write_config()
    d.reload()
    d.wait(OTHER)
    world.assert_good(d, OTHER)
    world.assert_good(d, NAME)


def test_reload_verb_counts(world):
    d = valid_world(world)
    d.config["domains"].append(world.domain(OTHER))
    d.write_config()
    answer = d.ctl("reload")
    assert answer.code == 0 and answer.json["reloaded"] is True
    assert [answer.json[k] for k in ("added", "removed", "changed")] == [1, 0, 0]
    d.wait(OTHER)
    d.config["domains"][1]["renew_before"] = "3d"
    del d.config["domains"][0]
    d.write_config()
    answer = d.ctl("reload")
    assert [answer.json[k] for k in ("added", "removed", "changed")] == [0, 1, 1], answer
    d.config["state_dir"] = str(d.dir / "elsewhere")
    d.write_config()
    assert "state_dir" in d.ctl("reload").json["restart_needed"]


def test_conf_d(world):
    d = valid_world(world)
    folder = d.dir / "conf.d"
    folder.mkdir()
    (folder / "10-more.yaml").write_text(yamlout.dump({"domains": [world.domain(OTHER)]}))
    d.reload()
    d.wait(OTHER)
    world.assert_good(d, OTHER)


def test_removed_domain_is_forgotten_but_kept(world):
    d = valid_world(world, NAME, OTHER)
    entry = d.config["domains"].pop()
    files = sorted(p.read_bytes() for p in d.live(OTHER).iterdir())
    d.write_config()
    d.reload()
    assert [s["name"] for s in d.status()["domains"]] == [NAME]
    assert sorted(p.read_bytes() for p in d.live(OTHER).iterdir()) == files
    # Back again: known, not bought again.
    d.config["domains"].append(entry)
    d.write_config()
    d.reload()
    d.wait(OTHER)
    world.assert_good(d, OTHER)


def test_removed_while_an_order_is_open(world):
    d = world.simple(NAME, OTHER, ca=["--issue-delay", "6s"]).start()
    base.until(lambda: world.sandbox.orders(OTHER), why="an order")
    entry = d.config["domains"].pop()
    d.write_config()
    d.reload()
    d.wait(NAME)
    d.config["domains"].append(entry)
    d.write_config()
    d.reload()
    d.wait(OTHER)
    world.assert_good(d, OTHER)
    world.assert_good(d, NAME)


def test_changed_domain_is_reissued(world):
    """Other names or another key are a reissue inside the plan: a reload alone spends nothing. Their order does not matter."""
    d = valid_world(world)
    (world.web.www / "example.jp").symlink_to(NAME)
    (world.web.www / "more.example.jp").symlink_to(NAME)
    d.config["domains"][0]["key"] = {"type": "ec", "curve": "P-256"}
    d.config["domains"][0]["dns_names"] = ["example.jp", "more.example.jp"]
    d.write_config()
    d.reload()
    base.until(lambda: d.status(NAME)["generation"] == 2, timeout=30, why="generation 2")
    d.wait(NAME)
    names = [NAME, "example.jp", "more.example.jp"]
    cert = world.assert_good(d, NAME, reissues=1, generation=2, names=names)
    assert cert.public_key().key_size == 256
    world.sandbox.forget_requests()
    d.config["domains"][0]["dns_names"] = ["more.example.jp", "example.jp"]
    d.write_config()
    d.reload()
    assert d.ctl("wait", NAME, "--timeout", "5s").code == 0
    world.assert_good(d, NAME, reissues=1, generation=2, names=names)
    assert world.sandbox.counts()["reissue"] == 0


def test_lost_names_are_warned_of(world):
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME, dns_names=["example.jp"])).start()
    d.wait(NAME)
    d.config["domains"][0]["dns_names"] = []
    d.write_config()
    d.reload()
    base.until(lambda: d.status(NAME)["generation"] == 2, timeout=30, why="generation 2")
    assert "names-lost" in d.log_path.read_text()
    d.wait(NAME)
    world.assert_good(d, NAME, reissues=1, generation=2, names=[NAME])


def test_changed_deploy_target_is_pushed_without_an_order(world):
    d = valid_world(world)
    d.config["domains"][0]["deploy"].append(
        {"scutum": {"host": "second.example.jp", "id": "XYZ", "api_key_file": "scutum-key"}}
    )
    d.write_config()
    d.reload()
    base.until(lambda: world.sandbox.pushes("second.example.jp"), why="a push to the new target")
    d.wait(NAME)
    assert_one_order(world.sandbox, NAME)


def test_many_reloads_while_orders_are_open(world):
    names = [f"n{i}.example.jp" for i in range(5)]
    d = world.simple(*names, ca=["--issue-delay", "3s"]).start()
    for i in range(25):
        d.config["log"]["level"] = "info" if i % 2 else "debug"
        d.write_config(BROKEN if i % 5 == 4 else None)
        d.reload()
    d.write_config()
    d.reload()
    d.wait(*names, timeout=90)
    for name in names:
        world.assert_good(d, name)


def test_new_api_key_lifts_the_block(world):
    d = world.simple(NAME)
    good = d.dir / "good"
    shutil.copy(d.dir / "cc-key", good)
    d.write_secret("cc-key", "not-the-right-key\n")
    d.start()
    d.wait(NAME, state="failed")
    assert len(world.sandbox.requests()) <= 3
    d.write_secret("cc-key", good.read_text())
    d.reload()
    if d.status(NAME)["state"] == "failed":
        assert d.ctl("renew", NAME).code == 0
    d.wait(NAME)
    world.assert_good(d, NAME)


def test_a_higher_daily_limit_is_in_force_at_once(world):
    names = [f"n{i}.example.jp" for i in range(3)]
    world.start_ca()
    world.start_web()
    d = world.make_daemon(*[world.domain(n) for n in names], certcentral={"max_orders_per_day": 1}).start()
    base.until(lambda: [s["state"] for s in d.status()["domains"]].count("valid") == 1, timeout=60, why="one valid")
    waiting = [s["name"] for s in d.status()["domains"] if s["state"] != "valid"]
    for name in waiting:
        d.wait_error(name, "max_orders_per_day")
    d.config["certcentral"]["max_orders_per_day"] = 3
    d.write_config()
    d.reload()
    d.wait(*names, timeout=60)
    assert len(world.sandbox.orders()) == 3


def test_hangup_in_the_middle_of_the_start(world):
    """Somebody edits and signals while the daemon still reads: it starts, and reads again."""
    d = world.simple(NAME)
    more = d.dir / "conf.d"
    more.mkdir()
    entries = [{"name": f"n{i}.example.jp", "dcv": {"method": "http-token", "webroot": "/nowhere"}} for i in range(20000)]
    (more / "many.yaml").write_text(yamlout.dump({"domains": entries}))
    size = (more / "many.yaml").stat().st_size
    d.config["certcentral"]["max_orders_per_day"] = 1
    d.write_config()
    mark = d.notify.mark()
    d.spawn()

    def has_read():
        """The file is in memory, and all that follows from it takes its time."""
        io = pathlib.Path(f"/proc/{d.proc.pid}/io").read_text()
        return int(re.search(r"^rchar: (\d+)$", io, re.M)[1]) > size

    base.until(has_read, every=0.001, why="the daemon reads")
    d.proc.send_signal(signal.SIGHUP)
    d.notify.wait("RELOADING", after=mark, timeout=60, alive=d.alive)
    d.kill9()
