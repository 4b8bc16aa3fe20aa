# SPDX-License-Identifier: Apache-2.0
"""dvcert-sandbox (docs/SANDBOX.md) asks real name servers: Knot and BIND, which treat a CNAME into another zone of theirs
each in its own way."""

import pathlib
import socket
import struct
import subprocess

import pytest
from lib import base
from test_sandbox import start, web  # noqa: F401 - fixtures

KNOT = """server:
    rundir: "{dir}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: "{dir}"
    journal-db-max-size: 16M
zone:
"""
KNOT_ZONE = """  - domain: {zone}
    storage: "{dir}"
    file: {zone}.zone
    zonefile-sync: -1
"""
BIND = """options {{ directory "{dir}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no;
  pid-file "{dir}/pid"; session-keyfile "{dir}/sk"; notify no; lock-file none; geoip-directory none;
  managed-keys-directory "{dir}"; }};
controls {{ }};
"""
BIND_ZONE = 'zone {zone} {{ type primary; file "{zone}.zone"; }};\n'
PROGRAMS = {
    "knot": (["/usr/sbin/knotd", "-c"], KNOT, KNOT_ZONE),
    "bind": (["/usr/sbin/named", "-g", "-n", "1", "-c"], BIND, BIND_ZONE),
}
HEAD = "$ORIGIN {zone}.\n$TTL 60\n@ IN SOA ns h 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n"


class NameServer:
    """One of the programs with zones that are known only once an order has been placed: begin() starts it."""

    def __init__(self, kind, folder, ports):
        self.command, self.conf, self.conf_zone = PROGRAMS[kind]
        self.dir, self.port, self.proc = pathlib.Path(folder), ports.take(), None
        self.address = f"127.0.0.1:{self.port}"

    def begin(self, zones):
        self.dir.mkdir()
        conf = self.conf.format(dir=self.dir, port=self.port)
        for zone, records in zones.items():
            (self.dir / f"{zone}.zone").write_text(HEAD.format(zone=zone) + records)
            conf += self.conf_zone.format(dir=self.dir, zone=zone)
        (self.dir / "conf").write_text(conf)
        with open(self.dir / "log", "wb") as log:
            self.proc = subprocess.Popen([*self.command, str(self.dir / "conf")], stdout=log, stderr=log)
        base.until(lambda: all(self.answers(z) for z in zones), why="the name server", every=0.02)

    def answers(self, zone):
        assert self.proc.poll() is None, base.tail(self.dir / "log")
        name = b"".join(bytes([len(p)]) + p.encode() for p in zone.split(".")) + b"\0"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            s.connect(("127.0.0.1", self.port))
            try:
                s.send(struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + name + struct.pack(">HH", 6, 1))
                reply = s.recv(512)
            except OSError:
                return False
        return reply[3] & 15 == 0 and struct.unpack(">H", reply[6:8])[0] == 1

    def stop(self):
        if self.proc:
            base.end_process(self.proc)


@pytest.fixture(params=sorted(PROGRAMS))
def server(request, tmp_path):
    if not pathlib.Path(PROGRAMS[request.param][0][0]).exists():
        pytest.skip(f"{request.param} is not installed")
    ports = base.Ports()
    s = NameServer(request.param, tmp_path / "dns", ports)
    yield s
    s.stop()
    ports.close()


def order(box, names, method):
    return box.placed(names, top={"dcv_method": method})


def test_proofs_of_a_real_server(start, server):
    box = start("--rate", "off", "--ca-poll", "0s", "--dns", server.address)
    names = ["at.one.test", "plain.one.test", "deep.one.test", "alias.one.test"]
    txt = order(box, names, "dns-txt-token")
    lost = order(box, ["lost.one.test", "absent.one.test"], "dns-txt-token")
    cname = order(box, ["c.one.test", "*.w.one.test"], "dns-cname-token")
    value, target = txt["dcv_random_value"], cname["dcv_random_value"] + ".dcv.digicert.com."
    server.begin({
        "one.test": f'_dnsauth.at IN TXT "other" "{value}"\n'
                    f'plain IN TXT "v=spf1 -all"\nplain IN TXT "{value[:9]}" "{value[9:]}"\n'
                    "_dnsauth.deep IN CNAME first.two.test.\n"
                    "alias IN CNAME proof.two.test.\n"
                    "_dnsauth.lost IN CNAME somewhere.else.test.\n"
                    "_dnsauth.absent IN CNAME no.two.test.\n"
                    f"_dnsauth.c IN CNAME {target}\n_dnsauth.w IN CNAME {target}\n",
        "two.test": f'first IN CNAME second\nsecond IN CNAME proof\nproof IN TXT "{value}"\n',
    })  # fmt: skip
    a = box.check(txt["id"]).json
    assert a["order_status"] == "issued", (a, base.tail(server.dir / "log"))
    assert [v["dns_name"] for v in a["dns_name_validations"]] == names
    assert box.check(cname["id"]).json["order_status"] == "issued"
    assert box.check(lost["id"]).json["order_status"] == "pending"
    assert box.ledger(lost["id"])["validated"] == []
