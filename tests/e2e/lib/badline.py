# SPDX-License-Identifier: Apache-2.0
"""A bad network: packets on the loopback of a namespace (netns.py) are lost, late, doubled and out of order, by nftables and HTB
(netem is no part of some kernels). TCP and UDP see what they would see on a bad line; unix sockets do not notice.

Packets are dropped where they come in: dropped where they go out, their sender would be told."""

import contextlib
import json
import subprocess

from . import base, netns

# A packet of the slow class takes 40 ms at least, and those of the fast one pass it meanwhile.
SLOW = ["rate", "300kbit", "burst", "1600", "overhead", "1400"]
FAST = ["rate", "20mbit", "burst", "16k"]

RULES = """\
table ip line {{
    chain out {{
        type filter hook output priority 0; policy accept;
        oif lo numgen random mod 100 < {reorder} meta priority set 1:20
    }}
    chain in {{
        type filter hook prerouting priority -300; policy accept;
        iif lo numgen random mod 100 < {loss} counter drop
        iif lo numgen random mod 100 < {double} counter dup to 127.0.0.1 device lo
    }}
}}
"""
HOLE = """\
table ip hole {{
    chain in {{
        type filter hook prerouting priority -310; policy accept;
        tcp sport {port} ip length > 100 counter drop
        tcp sport {port} drop
    }}
}}
"""


def run(*argv, text=None):
    done = subprocess.run(argv, input=text, capture_output=True, text=True, env=base.clean_env(), timeout=20 * base.PATIENCE)
    if done.returncode != 0:
        raise netns.Unable(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def nft(text):
    run("nft", "-f", "-", text=text)


def counters(table):
    """Packets of each counter, in order of the rules."""
    found = json.loads(run("nft", "-j", "list", "table", "ip", table))["nftables"]
    parts = [part for entry in found if "rule" in entry for part in entry["rule"]["expr"]]
    return [part["counter"]["packets"] for part in parts if "counter" in part]


@contextlib.contextmanager
def bad(loss=15, double=5, reorder=20):
    """Per cent of all packets. Yields a function that tells how many were lost and doubled so far."""
    try:
        run("ip", "link", "set", "lo", "mtu", "1500")
        run("tc", "qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb", "default", "10")
        for name, rate in (("1:10", FAST), ("1:20", SLOW)):
            run("tc", "class", "add", "dev", "lo", "parent", "1:", "classid", name, "htb", *rate)
        nft(RULES.format(loss=loss, double=double, reorder=reorder))
    except FileNotFoundError as e:
        raise netns.Unable(f"{e.filename} is not installed") from None
    try:
        yield lambda: counters("line")
    finally:
        nft("delete table ip line\n")
        run("tc", "qdisc", "del", "dev", "lo", "root")


@contextlib.contextmanager
def hole(port):
    """Whatever a server on this port answers is lost. Yields a function that tells how many packets with contents were."""
    try:
        nft(HOLE.format(port=port))
    except FileNotFoundError as e:
        raise netns.Unable(f"{e.filename} is not installed") from None
    try:
        yield lambda: counters("hole")[0]
    finally:
        nft("delete table ip hole\n")
