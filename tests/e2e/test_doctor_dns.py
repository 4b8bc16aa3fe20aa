# SPDX-License-Identifier: Apache-2.0
"""`dvcertctl doctor` on names in a DNS of real servers, where port 80 is port 80 and a CAA record is one."""

import pytest
from lib import base
from lib.dnsworld import needs_faketime, world  # noqa: F401 - the fixture
from lib.nameserver import PRIMARY, SECONDARY
from test_doctor import Web, assert_first, doctor

NAME = "www.example.jp"
WILD = "wild.example.jp"


def seen(world, name, type_name, n):  # noqa: F811
    """Every server has it, and what the resolver remembers is over."""
    world.dns.wait_in_sync()
    base.until(lambda: len(world.dns.values(name, type_name)) == n, 20, why=f"{n} {type_name} of {name}")


def add(world, name, type_name, data):  # noqa: F811
    n = len(world.dns.values(name, type_name, server=PRIMARY))
    world.dns.add(name, type_name, data)
    if type_name != "CNAME":
        seen(world, name, type_name, n + 1)


def remove(world, name, type_name, data):  # noqa: F811
    n = len(world.dns.values(name, type_name, server=PRIMARY))
    world.dns.remove(name, type_name, data)
    seen(world, name, type_name, n - 1)


@pytest.fixture
def by_dns(world):  # noqa: F811
    d = world.run(world.entry(NAME), world.entry(f"*.{WILD}", folder=WILD))
    d.wait(NAME, WILD)
    return d


@pytest.fixture
def by_http(world):  # noqa: F811
    """Nothing listens on port 80; the CA does not mind, it has one of its own."""
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME, scutum=False), preflight={"http": f"127.0.0.1:{world.http_port}"}).start()
    d.wait(NAME)
    d.config["preflight"] = {"http": "on"}
    d.write_config()
    assert d.ctl("reload").code == 0
    return d


def test_healthy(world, by_dns):  # noqa: F811
    r = doctor(by_dns, NAME)
    assert r.first is None and r.zone == "ok" and r.caa == "ok", r
    assert "0 of 1 names have an address (dns-txt-token needs none)" in r.text("dns"), r
    assert r.http == "skipped" and r.webroot == "skipped", r
    assert doctor(by_dns, WILD).first is None


def test_caa_of_another_ca(world, by_dns):  # noqa: F811
    add(world, "example.jp", "CAA", "0 issue letsencrypt.org")
    r = doctor(by_dns, NAME)
    assert_first(r, "caa", f'{NAME}: forbidden by example.jp: 0 issue "letsencrypt.org"', '0 issue "digicert.com"')
    add(world, "example.jp", "CAA", "0 issue digicert.com; account=7")
    assert doctor(by_dns, NAME).first is None


def test_caa_of_wildcards(world, by_dns):  # noqa: F811
    add(world, "example.jp", "CAA", "0 issue digicert.com")
    add(world, "example.jp", "CAA", "0 issuewild ;")
    assert doctor(by_dns, NAME).first is None
    assert_first(doctor(by_dns, WILD), "caa", f'*.{WILD}: forbidden by example.jp: 0 issuewild ";"', "issuewild")
    add(world, WILD, "CAA", "0 issuewild geotrust.com")
    assert doctor(by_dns, WILD).first is None


def test_caa_that_nobody_knows(world, by_dns):  # noqa: F811
    add(world, "example.jp", "CAA", "0 issue digicert.com")
    add(world, "example.jp", "CAA", "128 tbs x")
    assert_first(doctor(by_dns, NAME), "caa", "critical", "flag 128")


def test_server_without_the_zone(world):  # noqa: F811
    d = world.run(world.entry(NAME))
    d.wait(NAME)
    d.config["dns_providers"]["corp"]["server"] = "127.0.0.53"
    d.write_config()
    assert d.ctl("reload").code == 0
    assert_first(doctor(d, NAME), "zone", "provider corp")
    d.config["dns_providers"]["corp"].update(server=SECONDARY, zone="other.example.jp")
    d.write_config()
    assert d.ctl("reload").code == 0
    assert_first(doctor(d, NAME), "zone", "provider corp", "other.example.jp")


def test_delegation_that_leads_nowhere(world, by_dns):  # noqa: F811
    add(world, f"_dnsauth.{NAME}", "CNAME", "loop.example.jp")
    add(world, "loop.example.jp", "CNAME", f"_dnsauth.{NAME}")
    assert_first(doctor(by_dns, NAME), "zone", "CNAME")


def test_program_that_cannot_run(world):  # noqa: F811
    hook = world.dir / "hook"
    hook.write_text("#!/bin/sh\nexit 75\n")
    hook.chmod(0o755)
    d = world.run(world.entry(NAME), providers={"corp": {"type": "exec", "command": [str(hook)]}})
    assert doctor(d, NAME).zone == "ok"
    hook.chmod(0o644)
    assert_first(doctor(d, NAME), "zone", "provider corp", str(hook))


def test_name_without_an_address(world, by_http):  # noqa: F811
    r = doctor(by_http, NAME)
    assert_first(r, "dns", NAME, "A or AAAA record")
    assert r.http == "skipped" and "needs dns" in r.text("http"), r


def test_port_80_closed(world, by_http):  # noqa: F811
    add(world, NAME, "A", "127.0.0.1")
    r = doctor(by_http, NAME)
    assert_first(r, "http", f"http://{NAME}/", "port 80 must be open")
    web = Web(404, port=80)
    try:
        assert doctor(by_http, NAME).first is None
        # Every address counts: a visitor, and the CA, may take any of them.
        add(world, NAME, "A", "127.0.0.9")
        assert_first(doctor(by_http, NAME), "http", "port 80 must be open")
        remove(world, NAME, "A", "127.0.0.9")
        add(world, NAME, "AAAA", "2001:db8::1")
        r = doctor(by_http, NAME)
        assert r.first is None and r.http == "warning" and "[2001:db8::1]:80" in r.text("http"), r
    finally:
        web.stop()


def test_resolver_does_not_answer(world, by_http):  # noqa: F811
    world.dns.resolver.stop()
    r = doctor(by_http, NAME)
    assert_first(r, "dns", NAME)
    assert r.caa == "warning", r


@needs_faketime
@pytest.mark.parametrize(("seconds", "word"), [(600, "ahead"), (-600, "behind")])
def test_clock(world, seconds, word):  # noqa: F811
    world.start_ca()
    d = world.make_daemon(world.entry(NAME))
    world.with_clock(d, 0)
    d.start()
    d.wait(NAME)
    world.set_clock(seconds)
    r = doctor(d, NAME)
    if r.steps["config"]["state"] == "broken":  # the clock that stood when it was loaded is another one
        pytest.fail(repr(r))
    assert_first(r, "clock", f"{word} of CertCentral", "timedatectl")
