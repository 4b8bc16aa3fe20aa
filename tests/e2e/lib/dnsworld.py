# SPDX-License-Identifier: Apache-2.0
"""A world whose names are proven in DNS: name servers in a network of their own, and a CA that asks them.

    from lib.dnsworld import world  # noqa: F401 - takes the place of conftest's

It has Knot as primary; for another: @pytest.mark.parametrize("world", ["knot", "bind"], indirect=True). A dictionary instead of a
word is what nameserver.running() takes.
"""

import glob
import json
import os
import urllib.request

import pytest
from conftest import need

from . import base, nameserver, netns, webserver
from .nameserver import NET, PRIMARY, SUB, ZONE
from .world import World

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
needs_faketime = pytest.mark.skipif(
    FAKETIME is None or "san" in os.environ.get("DVCERT_BUILD", ""), reason="no libfaketime, or ASan, which excludes it"
)


class DnsWorld(World):
    def __init__(self, dns):
        super().__init__()
        self.dns = dns
        self.before = self.zones()

    def start_ca(self, *options, dns=PRIMARY, **more):
        return super().start_ca("--dns", f"{dns}:53", *options, **more)

    def config(self, *domains, providers=None, **more):
        return super().config(*domains, dns_providers=providers or {"corp": self.provider()}, **more)

    def make_daemon(self, *domains, **more):
        d = super().make_daemon(*domains, **more)
        d.write_secret("corp.tsig", self.dns.tsig_file())
        return d

    def run(self, *domains, ca=(), dns=PRIMARY, **more):
        """The usual beginning: a CA and a daemon that is started."""
        self.start_ca(*ca, dns=dns)
        return self.make_daemon(*domains, **more).start()

    def with_clock(self, d, seconds):
        """The daemon's wall clock goes wrong by so much, from the next start on; set_clock() changes that."""
        d.env = {
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(self.dir / "offset"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set_clock(seconds)

    def set_clock(self, seconds):
        new = self.dir / "offset.new"
        new.write_text(f"{seconds:+d}\n")
        new.rename(self.dir / "offset")

    @staticmethod
    def provider(**more):
        return {"type": "rfc2136", "server": PRIMARY, "tsig_key_file": "corp.tsig", **more}

    @staticmethod
    def entry(name, *others, folder=None, **dcv):
        """An entry of `domains:`; name is also the folder's, unless there is one of its own."""
        e = {"name": folder or name, "dns_names": list(others)}
        if folder:
            e["common_name"] = name
        if any(n.startswith("*.") for n in (name, *others)):
            e["product"] = "ssl_dv_geotrust_flex"
        return {**e, "dcv": {"method": "dns-txt-token", "provider": "corp", **dcv}}

    def auth_key(self):
        """Makes the account's AuthKey, as somebody does in the console."""
        rq = urllib.request.Request(
            f"{self.sandbox.certcentral_url}/account/auth-key", b"", method="POST",
            headers={"X-DC-DEVKEY": self.sandbox.api_key, "Content-Type": "application/json"},
        )  # fmt: skip
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.sandbox.tls)
        )
        with opener.open(rq, timeout=20 * base.PATIENCE) as answer:
            key = json.load(answer)["auth_key"]
        self.sandbox.forget_requests()
        return key

    # --- looking ---

    def zones(self):
        return sorted(r for z in (ZONE, NET, SUB) for r in self.dns.zone(z))

    def add(self, *records):
        """(name, type, data) of somebody else, which have to stay."""
        for r in records:
            self.dns.add(*r)
        self.dns.wait_in_sync()
        self.before = self.zones()

    def added(self):
        """What was not there before."""
        return [r for r in self.zones() if r not in self.before]

    def token(self, name):
        """The random value of the last order."""
        return self.sandbox.orders(name)[-1]["dcv_token"]

    def hold_check(self, n=1):
        """check-dcv will take its time, so that what it meets can be looked at."""
        self.sandbox.fault("check", "delay", delay_ms=700, times=n)

    def while_checked(self):
        base.until(lambda: self.sandbox.faults_hit("check"), 30, every=0.02, why="check-dcv is under way")
        return self.added()

    def validated(self, name):
        """The CA has seen the proofs of the one order."""
        base.until(lambda: [o for o in self.sandbox.orders(name) if o["validated"]], 30, why=f"{name} is validated")
        return self.sandbox.orders(name)[-1]["order_id"]

    @staticmethod
    def proofs(d, name):
        """As the record of the domain lists them."""
        return json.loads((d.state_dir / "state" / f"{name}.json").read_text()).get("proofs", [])

    def assert_clean(self, d, *names, timeout=20):
        """Nothing of ours is left, nothing of others is gone."""
        for name in names:
            base.until(lambda n=name: self.proofs(d, n) == [], timeout, why=f"no proof of {name} is listed")
        assert self.zones() == self.before

    def assert_done(self, d, *names, **more):
        """Valid, bought once, and tidy. `names`: folders; more: of pki.assert_installed, for one folder."""
        d.wait(*names, timeout=90)
        for name in names:
            self.assert_good(d, name, **more)
        self.assert_clean(d, *names)

    def end(self):
        """The key of the name server is nowhere."""
        for d in self.daemons:
            if d.alive():
                d.stop()
            if d.log_path.exists():
                assert nameserver.DAEMON[1] not in d.log(), "the TSIG secret is in the log"
                assert nameserver.DAEMON[1] not in "".join(p.read_text() for p in (d.state_dir / "state").glob("*.json"))


@pytest.fixture
def world(request):
    need("dvcertd", "dvcertctl", "dvcert-sandbox")
    if not webserver.is_installed():
        pytest.skip("nginx is not installed")
    how = getattr(request, "param", "knot")
    try:
        with nameserver.running(**(how if isinstance(how, dict) else {"primary": how})) as servers:
            w = DnsWorld(servers)
            try:
                yield w
                w.end()
            finally:
                w.close(keep=getattr(request.node, "has_failed", False) and not os.environ.get("DVCERT_TIDY"))
    except netns.Unable as e:
        pytest.skip(str(e))
