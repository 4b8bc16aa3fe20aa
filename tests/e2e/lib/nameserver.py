# SPDX-License-Identifier: Apache-2.0
"""A small DNS of real servers, in a namespace (netns.py), where port 53 is free: Knot and BIND from Debian's packages.

    127.0.0.53  BIND     resolver; starts at the root below. Its cache keeps everything for MAX_TTL seconds at most
    127.0.0.2   primary  example.jp and dcv.example.net; Knot, BIND or PowerDNS. Changed by two keys: DAEMON (TXT and CNAME; with
                         PowerDNS all, unless a policy is given), ADMIN (all)
    127.0.0.3   Knot     secondary of example.jp: NOTIFY and transfers, unless frozen
    127.0.0.4   Knot     sub.example.jp, delegated from example.jp (ADMIN and DAEMON may change it)
    127.0.0.5   the same process: the root, which delegates example.jp and dcv.example.net

Names like www have no A record: that is the test's business, see add(). A fixture:

    try:
        with nameserver.running() as servers:
            yield servers
    except netns.Unable as e:
        pytest.skip(str(e))
"""

import contextlib
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

from . import base, dnsmsg, netns

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
RESOLVER, PRIMARY, SECONDARY, CHILD, ROOT = "127.0.0.53", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"
ZONE, SUB, NET = "example.jp", "sub.example.jp", "dcv.example.net"
ADDRESSES = [RESOLVER, PRIMARY, SECONDARY, CHILD, ROOT]
MAX_TTL = 1

DAEMON = ("dvcertd.keys", "0XIyUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8=")
ADMIN = ("admin.keys", "bm90IHRoZSBrZXkgb2YgdGhlIGRhZW1vbiBhdCBhbGw=")

HEAD = "$TTL 60\n@ IN SOA ns1 hostmaster 1 3600 600 86400 1\n"
TEXTS = {
    ZONE: f"{HEAD}@ NS ns1\n@ NS ns2\nns1 A {PRIMARY}\nns2 A {SECONDARY}\nsub NS ns.sub\nns.sub A {CHILD}\n",
    NET: f"{HEAD}@ NS ns1\nns1 A {PRIMARY}\n",
    SUB: f"{HEAD}@ NS ns\nns A {CHILD}\n",
    ".": f"{HEAD}@ NS ns1\nns1 A {ROOT}\n"
    f"{ZONE}. NS ns1.{ZONE}.\n{ZONE}. NS ns2.{ZONE}.\nns1.{ZONE}. A {PRIMARY}\nns2.{ZONE}. A {SECONDARY}\n"
    f"{NET}. NS ns1.{NET}.\nns1.{NET}. A {PRIMARY}\n",
}

KNOT = """\
server:
    rundir: "{dir}"
    listen: [{addresses}]
    udp-workers: 1
    tcp-workers: 1
    background-workers: 2
log:
  - target: stderr
    any: info
database:
    storage: "{dir}"
    journal-db-max-size: 16M
key:
  - id: {daemon[0]}
    algorithm: hmac-sha256
    secret: {daemon[1]}
  - id: {admin[0]}
    algorithm: hmac-sha256
    secret: {admin[1]}
remote:
  - id: primary
    address: {primary}
    via: {secondary}
  - id: secondary
    address: {secondary}
    via: {primary}
acl:
  - id: neighbours
    address: 127.0.0.0/8
    action: [transfer, notify]
  - id: daemon
    key: {daemon[0]}
    action: update
    update-type: [TXT, CNAME]
  - id: admin
    key: {admin[0]}
    action: update
template:
  - id: default
    storage: "{dir}"
    acl: [neighbours, daemon, admin]
zone:
"""
KNOT_PRIMARY = """\
  - domain: {zone}
    file: "{file}"
    zonefile-sync: -1
    zonefile-load: difference
    journal-content: all
{notify}"""
KNOT_SECONDARY = """\
  - domain: {zone}
    file: "{file}"
    master: primary
"""

BIND_OPTIONS = """\
options {{
    directory "{dir}"; pid-file "{dir}/pid"; session-keyfile "{dir}/session"; managed-keys-directory "{dir}";
    lock-file none; geoip-directory none;
    listen-on {{ {address}; }}; listen-on-v6 {{ none; }}; query-source address {address}; notify-source {address};
    transfer-source {address};
    dnssec-validation no; {more}
}};
controls {{ }};
"""
BIND_RESOLVER = "recursion yes; allow-recursion { any; }; max-cache-ttl 1; max-ncache-ttl 1; servfail-ttl 0;"
BIND_PRIMARY = "recursion no; notify explicit; notify-delay 0; allow-transfer { any; };"
BIND_ZONE = """\
zone "{zone}" {{ type primary; file "{file}"; also-notify {{ {notify} }}; update-policy {{
    grant {daemon} zonesub TXT CNAME; grant {admin} zonesub ANY; }}; }};
"""

# Caches, and all else that is not named, are as the package has them.
PDNS = """\
daemon=no
guardian=no
setuid=
disable-syslog=yes
write-pid=no
security-poll-suffix=
socket-dir={dir}
local-address={address}
query-local-address={address}
launch=gsqlite3
gsqlite3-database={dir}/db
primary=yes
{more}
"""
PDNS_SCHEMA = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"


class Server:
    """A name server of its own folder, ready when every zone is served."""

    def __init__(self, folder, program, addresses, zones):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True)
        self.addresses = addresses
        self.zones = zones
        self.proc = None
        self.log_path = self.dir / "log"
        # The packages' AppArmor profiles are tied to the paths of the programs.
        self.program = shutil.copy(shutil.which(program, path=PATH), self.dir / program)
        for zone in zones:
            (self.dir / file_of(zone)).write_text(f"$ORIGIN {zone.rstrip('.')}.\n{TEXTS[zone]}")

    def argv(self):
        raise NotImplementedError

    def start(self):
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(
                self.argv(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.dir, env=base.clean_env()
            )
        base.until(self._serves, 20, why=f"{self.dir.name} serves its zones")
        return self

    def _serves(self):
        assert self.proc.poll() is None, f"{self.program} ended\n{base.tail(self.log_path)}"
        try:
            return all(dnsmsg.query(self.addresses[0], z, "SOA").rcode == "NOERROR" for z in self.zones or ["."])
        except OSError:
            return False

    def stop(self):
        base.end_process(self.proc)
        self.proc = None


class Knot(Server):
    def __init__(self, folder, addresses, zones, secondary=False, notify=""):
        super().__init__(folder, "knotd", addresses, zones)
        text = KNOT.format(
            dir=self.dir, addresses=", ".join(addresses), daemon=DAEMON, admin=ADMIN, primary=PRIMARY, secondary=SECONDARY
        )
        for zone in zones:
            form = KNOT_SECONDARY if secondary else KNOT_PRIMARY
            text += form.format(zone=zone, file=file_of(zone), notify=notify if zone == ZONE else "")
            if secondary:
                (self.dir / file_of(zone)).unlink()  # it comes by transfer
        (self.dir / "knot.conf").write_text(text)

    def argv(self):
        return [self.program, "-c", str(self.dir / "knot.conf")]

    def control(self, *args):
        """knotc; waits until it is done."""
        done = subprocess.run(
            ["knotc", "-b", "-s", str(self.dir / "knot.sock"), *args],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, env=base.clean_env(), timeout=20 * base.PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, f"knotc {args}: {done.stdout}{done.stderr}\n{base.tail(self.log_path)}"
        return done.stdout


class Bind(Server):
    def __init__(self, folder, address, zones, options, notify=""):
        super().__init__(folder, "named", [address], zones)
        text = BIND_OPTIONS.format(dir=self.dir, address=address, more=options)
        for name, secret in (DAEMON, ADMIN):
            text += f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n'
        for zone in zones:
            text += BIND_ZONE.format(
                zone=zone, file=file_of(zone), notify=notify if zone == ZONE else "", daemon=DAEMON[0], admin=ADMIN[0]
            )
        if not zones:
            (self.dir / "root.hints").write_text(f". 3600 NS ns1.\nns1. 3600 A {ROOT}\n")
            text += 'zone "." { type hint; file "root.hints"; };\n'
        (self.dir / "named.conf").write_text(text)

    def argv(self):
        return [self.program, "-g", "-4", "-n", "1", "-c", str(self.dir / "named.conf")]


class Pdns(Server):
    """PowerDNS with a database of SQLite. Zones come from TEXTS once; configure() may be called again while it is stopped."""

    MORE = "dnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8"
    METADATA = {"TSIG-ALLOW-DNSUPDATE": [DAEMON[0], ADMIN[0]]}

    def __init__(self, folder, address, zones, notify="", **settings):
        super().__init__(folder, "pdns_server", [address], zones)
        with contextlib.closing(sqlite3.connect(self.dir / "db")) as db:
            db.executescript(pathlib.Path(PDNS_SCHEMA).read_text())
        self.write_conf()
        for name, secret in (DAEMON, ADMIN):
            self.util("import-tsig-key", name, "hmac-sha256", secret)
        for zone in zones:
            self.util("load-zone", zone, str(self.dir / file_of(zone)))
            self.util("set-kind", zone, "primary")
        if notify:
            self.util("set-meta", ZONE, "ALSO-NOTIFY", notify)
            self.util("set-meta", ZONE, "NOTIFY-DNSUPDATE", "1")
        self.configure(**settings)

    def configure(self, more=MORE, metadata=None):
        """more: lines of pdns.conf; metadata: of each zone, {kind: [values]}."""
        self.write_conf(more)
        for zone in self.zones:
            for kind, values in (metadata or self.METADATA).items():
                self.util("set-meta", zone, kind, *values)

    def write_conf(self, more=""):
        (self.dir / "pdns.conf").write_text(PDNS.format(dir=self.dir, address=self.addresses[0], more=more))

    def util(self, *args):
        """pdnsutil, as an admin would."""
        done = subprocess.run(
            ["pdnsutil", f"--config-dir={self.dir}", *args], capture_output=True, text=True, stdin=subprocess.DEVNULL,
            env=base.clean_env(), timeout=20 * base.PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, f"pdnsutil {args}: {done.stdout}{done.stderr}"

    def argv(self):
        return [self.program, f"--config-dir={self.dir}"]


def file_of(zone):
    return f"{zone.strip('.') or 'root'}.zone"


class NameServers:
    """All of them. Everything runs when the constructor returns."""

    def __init__(self, folder, primary="knot", pdns=None):
        folder = pathlib.Path(folder)
        zones = [ZONE, NET]
        if primary == "knot":
            self.primary = Knot(folder / "primary", [PRIMARY], zones, notify="    notify: secondary\n")
        elif primary == "bind":
            self.primary = Bind(folder / "primary", PRIMARY, zones, BIND_PRIMARY, f"{SECONDARY};")
        else:
            self.primary = Pdns(folder / "primary", PRIMARY, zones, SECONDARY, **(pdns or {}))
        self.secondary = Knot(folder / "secondary", [SECONDARY], [ZONE], secondary=True)
        self.child = Knot(folder / "child", [CHILD, ROOT], [SUB, "."])
        self.resolver = Bind(folder / "resolver", RESOLVER, [], BIND_RESOLVER)
        self.servers = [self.primary, self.secondary, self.child, self.resolver]
        try:
            for server in self.servers:
                server.start()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for server in self.servers:
            server.stop()

    def report(self):
        return "\n".join(f"--- {s.log_path}\n{base.tail(s.log_path, 20)}" for s in self.servers)

    # --- what the daemon is told ---

    @staticmethod
    def tsig_file():
        """The text of a tsig_key_file."""
        return f'key "{DAEMON[0]}" {{\n\talgorithm hmac-sha256;\n\tsecret "{DAEMON[1]}";\n}};\n'

    # --- records ---

    @staticmethod
    def _place(name):
        zone = max((z for z in (ZONE, NET, SUB) if f".{name}".endswith(f".{z}")), key=len)
        return (CHILD if zone == SUB else PRIMARY), zone

    def change(self, *change, key=ADMIN):
        """One change as dnsmsg.update() takes it. Returns the word of the answer."""
        server, zone = self._place(change[0])
        return dnsmsg.update(server, zone, key, change).rcode

    def add(self, name, type_name, data, ttl=MAX_TTL):
        assert self.change(name, type_name, data, ttl) == "NOERROR"

    def remove(self, name, type_name, *data):
        """One record, or all of that type."""
        assert self.change(name, type_name, *data) == "NOERROR"

    @staticmethod
    def query(name, type_name="TXT", server=RESOLVER):
        return dnsmsg.query(server, name, type_name, recurse=server == RESOLVER)

    def values(self, name, type_name="TXT", server=RESOLVER):
        return self.query(name, type_name, server).values(type_name)

    def zone(self, zone=ZONE):
        """All that the primary has: a sorted list of (name, type, data)."""
        return dnsmsg.transfer(CHILD if zone == SUB else PRIMARY, zone)

    # --- the secondary that lags ---

    def freeze(self):
        """From now on the secondary shows what it has, whatever the primary tells it."""
        self.secondary.control("zone-freeze", ZONE)

    def thaw(self):
        self.secondary.control("zone-thaw", ZONE)
        self.catch_up()

    def catch_up(self):
        """The secondary asks the primary, as it would when its refresh time is over. Back when it has all."""
        self.secondary.control("zone-refresh", ZONE)
        self.wait_in_sync()

    def serials(self):
        return [self.query(ZONE, "SOA", s).values("SOA") for s in (PRIMARY, SECONDARY)]

    def wait_in_sync(self, timeout=20.0):
        base.until(lambda: len({str(s) for s in self.serials()}) == 1, timeout, why="the secondary has the primary's serial")


@contextlib.contextmanager
def running(primary="knot", pdns=None):
    """In a namespace, with everything that is started meanwhile; the system's resolver is RESOLVER. netns.Unable: not here.
    pdns: of Pdns, when that is the primary."""
    for name in ("knotd", "knotc", "named", *(["pdns_server", "pdnsutil"] if primary == "pdns" else [])):
        if not shutil.which(name, path=PATH):
            raise netns.Unable(f"{name} is not installed")
    with tempfile.TemporaryDirectory(prefix="dv", dir="/tmp") as folder, netns.Namespace(folder, RESOLVER, ADDRESSES):
        servers = NameServers(folder, primary, pdns)
        try:
            yield servers
        finally:
            servers.stop()
