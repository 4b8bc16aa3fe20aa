# SPDX-License-Identifier: Apache-2.0
"""Mistakes that were made once: each test failed before its cause was mended."""

import json
import signal
import subprocess
import time

from lib import base, yamlout
from lib.sandbox import assert_one_order

NAME = "www.example.jp"
OTHER = "new.example.jp"
PROOF = ".well-known/pki-validation/fileauth.txt"


def reload(d, **changes):
    d.config.update(changes)
    d.write_config()
    d.reload()


def test_stop_while_a_removed_domain_waits_for_its_order(world):
    """The answer to the post of a removed domain is awaited; the way out must not trip over it."""
    d = world.simple(NAME, OTHER)
    world.sandbox.fault("order", "delay", delay_ms=8000, times=0)
    d.start()
    base.until(lambda: len(world.sandbox.requests("order")) == 2, why="both posts")
    reload(d, domains=d.config["domains"][:1])
    d.stop()
    world.sandbox.clear_faults()
    d.config["domains"].append(world.domain(OTHER))
    d.write_config()
    d.start()
    d.wait(NAME, OTHER, timeout=90)
    assert_one_order(world.sandbox, OTHER)


def test_what_a_removed_domain_has_to_write_is_written_on_the_way_out(world):
    d = world.simple(NAME, OTHER)
    world.sandbox.fault("order", "delay", delay_ms=2000, times=0)
    d.start()
    base.until(lambda: len(world.sandbox.requests("order")) == 2, why="both posts")
    reload(d, domains=d.config["domains"][:1])
    path = d.state_dir / "state" / f"{OTHER}.json"
    base.until(lambda: world.sandbox.orders(OTHER), why="the order")
    base.until(lambda: json.loads(path.read_text())["job"].get("order_id"), why="the order id on disk")
    d.stop()


def test_stop_while_a_reload_is_read(world):
    """The configuration that is being read comes after everything that could take it over has gone."""
    d = world.simple(NAME).start()
    d.wait(NAME)
    more = [world.domain(f"n{i}.example.jp") for i in range(400)]
    d.write_config(yamlout.dump({**d.config, "domains": d.config["domains"] + more}))
    d.proc.send_signal(signal.SIGHUP)
    d.proc.send_signal(signal.SIGTERM)
    d.stop()
    assert len(world.sandbox.orders()) == 1
