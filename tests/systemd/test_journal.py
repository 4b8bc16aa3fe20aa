# SPDX-License-Identifier: Apache-2.0
"""Records in a real journal: fields, catalog, and what repeats itself."""

import json
import re

from host import DOMAIN, NAME, UNIT, until

INSTALLED = "a1f6c1de3f8e4b0e9f0c6c3d5b8f1b10"
HELD = "a1f6c1de3f8e4b0e9f0c6c3d5b8f1b12"
RETRY = "a1f6c1de3f8e4b0e9f0c6c3d5b8f1b11"
CONFIG_BAD = "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a04"


def test_fields(host):
    host.systemctl("start")
    host.wait_valid()
    (order,) = host.orders()
    (r,) = host.records(f"MESSAGE_ID={INSTALLED}")
    assert r["DVCERT_NAME"] == NAME and r["PRIORITY"] == "6" and r["SYSLOG_IDENTIFIER"] == "dvcertd"
    assert (r["ORDER_ID"], r["CERTIFICATE_ID"]) == (str(order["order_id"]), str(order["certificate_id"]))
    assert r["_SYSTEMD_UNIT"] == UNIT and "ERROR_CODE" not in r
    for r in host.records():
        assert "MESSAGE_ID" in r or r.get("PRIORITY") == "7", r  # each record is of a kind that is explained
    # What an administrator types: all about one domain.
    assert len(host.records(f"DVCERT_NAME={NAME}")) >= 5


def test_error_code(host):
    host.admin("POST", "faults", {"endpoint": "order", "kind": "status", "status": 400, "code": "invalid_product", "message": "No."})
    host.systemctl("start")
    r = until(lambda: host.records(f"MESSAGE_ID={HELD}"), why="a failure that needs a person")[0]
    assert (r["ERROR_CODE"], r["DVCERT_NAME"], r["PRIORITY"]) == ("invalid_product", NAME, "3"), r
    assert host.records(f"ERROR_CODE={r['ERROR_CODE']}")


def test_explained(host):
    """`journalctl -x` says what happened and what to do, with the names filled in."""
    host.systemctl("start")
    host.wait_valid()
    text = host.journal("-x", f"MESSAGE_ID={INSTALLED}")
    assert f"Subject: {NAME}: a new certificate is installed" in text, text
    assert "Documentation: man:dvcertctl(1)" in text and "Defined-By: dvcertd" in text
    host.configure("  - nam: x\n")
    host.systemctl("reload", check=False)
    text = host.journal("-x", f"MESSAGE_ID={CONFIG_BAD}")
    assert "Subject: The new configuration was refused" in text and "dvcertd --check" in text
    # Every record that was written has an entry, and no field in it is left empty.
    everything = host.journal("-x", "-u", UNIT)
    assert not re.search(r"@[A-Z_]+@", everything)
    listed = host.run("journalctl", "--list-catalog").stdout
    for r in host.records():
        if "MESSAGE_ID" in r:
            assert r["MESSAGE_ID"] in listed, r


def test_repeats_are_bounded(host):
    """The CA is away: of the retries the 1st, 2nd, 4th, 8th, ... are shown, with their count."""
    host.run("systemctl", "stop", "ca.service")
    main = host.config_text().replace("poll_interval: 1s", "poll_interval: 1s\n  rate_limit: [{requests: 1000, per: 1s}]")
    host.configure(DOMAIN % NAME, main=main)
    host.systemctl("start")
    r = host.wait_record(r"\(4 times since 20", f"MESSAGE_ID={RETRY}", timeout=60)
    assert r["DVCERT_NAME"] == NAME
    assert [int(m) for m in re.findall(r"\((\d+) times since", "".join(x["MESSAGE"] for x in host.records(f"MESSAGE_ID={RETRY}")))] == [2, 4]
    assert host.status()["error"]["attempts"] >= 4  # nothing was left out but the record
    host.start_ca()
    host.wait_valid()


def test_plain_logs_where_the_configuration_says_so(host):
    host.configure(extra="log: {format: json}\n")
    host.systemctl("start")
    host.wait_valid()
    lines = host.journal("-o", "cat", "-u", UNIT, "_TRANSPORT=stdout").splitlines()
    objects = [json.loads(x) for x in lines if x.startswith("{")]
    assert any(o["event"] == "certificate-installed" and o["dvcert_name"] == NAME and o["order_id"] for o in objects), lines
