# SPDX-License-Identifier: Apache-2.0
"""Domains that wait because of what is, or is not, in the state folder."""

from lib import base


def test_held_for_its_files_until_they_are_mended(world):
    """Without a state file and with files that cannot be looked at nothing may be ordered, by a reload neither. What is mended is seen
    at the next start, also when the disk refused but once."""
    link, lost = "link.example.jp", "lost.example.jp"
    d = world.simple(link, lost).start()
    d.wait(link, lost)
    before = {n: d.status(n)["serial"] for n in (link, lost)}
    d.stop()
    for name in before:
        (d.state_dir / "state" / f"{name}.json").unlink()
    (d.state_dir / "live" / link).rename(d.dir / "link")
    (d.state_dir / "live" / link).mkdir()
    cert = d.state_dir / "archive" / lost / "0001" / "cert.pem"
    cert.rename(d.dir / "cert.pem")
    d.start()
    assert d.wait(link, state="failed")[0]["error"]["code"] == "live_link"
    assert d.wait(lost, state="failed")[0]["error"]["code"] == "state_missing"

    good = d.config["domains"]
    d.config["domains"] = [{**entry, "key": {"type": "ec", "curve": "P-384"}} for entry in good]
    d.write_config()
    d.reload()
    base.until(lambda: all(d.status(n)["state"] == "failed" for n in before), why="the reload is over")
    d.config["domains"] = good
    d.write_config()
    d.restart()
    for name in before:
        d.wait(name, state="failed")
    d.stop()
    (d.state_dir / "live" / link).rmdir()
    (d.dir / "link").rename(d.state_dir / "live" / link)
    (d.dir / "cert.pem").rename(cert)
    d.start()
    d.wait(*before)
    for name, serial in before.items():
        assert d.status(name)["serial"] == serial
        assert len(world.sandbox.orders(name)) == 1, "nothing is bought for it"
