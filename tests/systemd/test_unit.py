# SPDX-License-Identifier: Apache-2.0
"""Life of the unit: start, reload, stop, watchdog, crashes, credentials."""

import json
import pathlib
import re
import signal
import time

from host import DOMAIN, NAME, UNIT, until

STOP_LIMIT = 5.0
STARTED_BY_SYSTEMD = "39f53479d3a045ac8e11786248231fbf"  # "A start job for unit ... has finished successfully"
DAEMON_STARTED = "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a01"
SHORT_WATCHDOG = "[Service]\nWatchdogSec=2\nRestartSec=500ms\n"
BACK_LIMIT = 2 + 0.5 + 1


def one_order(host, name=NAME, reissues=0):
    """The CA's ledger says how often money was spent."""
    orders = host.orders(name)
    assert len(orders) == 1 and orders[0]["reissues"] == reissues, orders
    return orders[0]


def served_by(host, name=NAME):
    return host.sh(f"openssl x509 -in /var/lib/dvcertd/live/{name}/cert.pem -noout -serial -subject -ext subjectAltName")


# --- start ---


def test_start_ends_when_the_daemon_is_ready(host):
    host.systemctl("start")
    assert host.state() == "active"
    ready = host.records(f"MESSAGE_ID={DAEMON_STARTED}")[0]
    (job,) = [json.loads(x) for x in host.journal("-o", "json", f"MESSAGE_ID={STARTED_BY_SYSTEMD}", f"UNIT={UNIT}").splitlines()]
    assert int(ready["__MONOTONIC_TIMESTAMP"]) <= int(job["__MONOTONIC_TIMESTAMP"])
    assert re.match(r"1 domains: .*; next event ", host.show("StatusText"))


def test_certificates_by_webroot_and_responder(host):
    """The work of the daemon as its own user, with every line of the unit in force."""
    host.configure(DOMAIN % NAME, "  - name: app.example.jp\n    dcv: {method: http-token, responder: true}\n")
    host.systemctl("start")
    host.wait_valid(NAME, "app.example.jp")
    for name in (NAME, "app.example.jp"):
        assert f"DNS:{name}" in served_by(host, name)
        one_order(host, name)
    owners = host.sh(f"ps -o user:20=,nlwp= -p {host.pid()}; cd /var/lib/dvcertd; stat -c '%U %a %n' . live state archive/{NAME}/0001/*")
    assert owners.split()[0] == "dvcertd"
    for line in ("dvcertd 711 .", "dvcertd 755 live", "dvcertd 700 state", f"dvcertd 600 archive/{NAME}/0001/privkey.pem"):
        assert line in owners, owners
    assert host.sh("ls /var/www/html/.well-known/pki-validation") == ""  # the proof is gone
    assert "2 valid" in until(lambda: "2 valid" in host.show("StatusText") and host.show("StatusText"))
    # A web server reads them where the README says.
    host.put(
        "/etc/nginx/more/tls.conf",
        "server { listen 127.0.0.1:443 ssl; server_name %s; ssl_certificate /var/lib/dvcertd/live/%s/fullchain.pem;\n"
        "ssl_certificate_key /var/lib/dvcertd/live/%s/privkey.pem; }\n" % (NAME, NAME, NAME),
    )
    host.run("systemctl", "reload", "nginx.service")
    host.run("curl", "-sS", "--retry", "10", "--retry-connrefused", "--cacert", "/srv/ca/ca.pem", "--resolve", f"{NAME}:443:127.0.0.1", f"https://{NAME}/", "-o", "/dev/null")


def test_bad_configuration_is_not_started_again(host):
    host.configure(main="certcentral: {api_key_file: certcentral-api-key, poll_intervall: 1s}\n")
    assert host.systemctl("start", check=False).returncode != 0
    seen = host.show("ActiveState", "ExecMainStatus", "NRestarts", "Result")
    assert (seen["ActiveState"], seen["ExecMainStatus"], seen["NRestarts"]) == ("failed", "78", "0"), seen
    assert re.search(r"dvcertd\.yaml:1:\d+: certcentral\.poll_intervall: unknown key", host.journal("-u", UNIT))
    host.configure()
    host.systemctl("start")
    host.wait_valid()


HOOK = """#!/bin/sh
name=${2%.}
case $1 in
present) echo "$3" >"/var/lib/dvcertd/txt/$name" ;;
cleanup) rm "/var/lib/dvcertd/txt/$name" ;;
esac
echo "$(id -un) $1 $name" >>/var/lib/dvcertd/hook.log
cat "/proc/$PPID/environ" >/dev/null 2>&1 && echo "could read the daemon's environment" >>/var/lib/dvcertd/hook.log
for place in /usr/local /etc /var/lib /run; do
    touch "$place/x" 2>/dev/null && echo "could write to $place" >>/var/lib/dvcertd/hook.log
done
exit 0
"""


def test_dns_hook_below_usr_local(host):
    """A hook runs from /usr/local, as the daemon's user, and may write where the daemon may."""
    host.sh("install -d -o dvcertd -g dvcertd /var/lib/dvcertd /var/lib/dvcertd/txt")
    host.put("/usr/local/bin/hook", HOOK, 0o755)
    host.put("/usr/local/bin/dns.py", (pathlib.Path(__file__).parent / "dns.py").read_text())
    host.put("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    host.run("systemd-run", "--quiet", "--unit=dns", "/usr/bin/python3", "/usr/local/bin/dns.py", "/var/lib/dvcertd/txt")
    host.run("systemctl", "stop", "ca.service")
    host.start_ca("--dns", "127.0.0.1:53")
    main = host.config_text().replace('preflight: {http: "127.0.0.1:80"}', 'preflight: {dns: "127.0.0.1:53"}')
    host.configure(
        "  - name: w.example.jp\n    dcv: {method: dns-txt-token, provider: p}\n",
        main=main, extra="dns_providers:\n  p: {type: exec, command: [/usr/local/bin/hook]}\n",
    )  # fmt: skip
    host.systemctl("start")
    host.wait_valid("w.example.jp")
    log = until(lambda: "cleanup" in host.sh("cat /var/lib/dvcertd/hook.log") and host.sh("cat /var/lib/dvcertd/hook.log"))
    assert log.splitlines() == ["dvcertd present _dnsauth.w.example.jp", "dvcertd cleanup _dnsauth.w.example.jp"], log


def test_api_over_ipv6(host):
    host.run("systemctl", "stop", "ca.service")
    host.start_ca("--listen", "[::1]:9443", url="https://[::1]:9443")
    main = host.config_text().replace("https://127.0.0.1:9443", "https://[::1]:9443")
    host.configure(main=main)
    host.systemctl("start")
    host.wait_valid()


# --- reload ---


def test_reload(host):
    host.systemctl("start")
    host.wait_valid()
    pid = host.pid()
    host.configure(DOMAIN % NAME, DOMAIN % "b.example.jp")
    host.systemctl("reload")
    assert host.status("b.example.jp")["name"] == "b.example.jp"  # in force when systemctl is back
    assert (host.pid(), host.state()) == (pid, "active")
    host.wait_valid(NAME, "b.example.jp")
    one_order(host)


def test_hangup_signal_reloads_too(host):
    host.systemctl("start")
    host.configure(DOMAIN % NAME, DOMAIN % "b.example.jp")
    host.systemctl("kill", "-s", "HUP")
    host.wait_record("configuration reloaded: 2 domains")
    assert host.state() == "active"


def test_reload_with_a_mistake(host):
    host.systemctl("start")
    host.wait_valid()
    pid = host.pid()
    host.configure(DOMAIN % NAME, "  - nam: b.example.jp\n")
    answer = host.systemctl("reload", check=False)
    assert answer.returncode != 0
    assert (host.pid(), host.state()) == (pid, "active")
    status = host.run("systemctl", "status", UNIT, check=False).stdout
    assert re.search(r"Status: .*configuration .*refused", status), status
    assert re.search(r"dvcertd\.yaml:\d+:\d+: .*nam: unknown key", status), status
    assert "refused" in host.ctl("status").stdout
    assert host.status()["state"] == "valid"
    host.configure()
    host.systemctl("reload")
    assert "refused" not in host.show("StatusText") + host.ctl("status").stdout


# --- the end ---


def test_stop_in_the_middle_of_a_request(host):
    host.admin("POST", "faults", {"endpoint": "order", "kind": "delay", "delay_ms": 60000})
    host.systemctl("start")
    until(lambda: [r for r in host.admin("GET", "requests")["requests"] if r["endpoint"] == "order"], why="an order is posted")
    began = time.monotonic()
    host.systemctl("stop")
    assert time.monotonic() - began < STOP_LIMIT
    seen = host.show("Result", "ExecMainStatus", "ActiveState")
    assert (seen["Result"], seen["ExecMainStatus"], seen["ActiveState"]) == ("success", "0", "inactive"), seen


def test_kill_9_while_the_order_is_posted(host):
    """The answer is lost with the process; systemd starts the next one, which asks before it would buy."""
    host.drop_in(SHORT_WATCHDOG)
    host.admin("POST", "faults", {"endpoint": "order", "kind": "delay", "delay_ms": 1500})
    host.systemctl("start")
    until(lambda: [r for r in host.admin("GET", "requests")["requests"] if r["endpoint"] == "order"], why="an order is posted")
    host.systemctl("kill", "-s", "KILL")
    until(lambda: host.is_back(1), why="restarted")
    host.wait_valid()
    one_order(host)


def test_kill_9_while_a_target_is_served(host):
    host.drop_in(
        "[Service]\nWatchdogSec=2\nRestartSec=500ms\nLoadCredential=scutum-www:/srv/ca/scutum-api-key\n",
    )
    host.admin("POST", "faults", {"endpoint": "scutum", "kind": "delay", "delay_ms": 60000})
    host.configure(
        DOMAIN % NAME + "    deploy:\n      - scutum: {host: www.example.jp, id: ABC1234, api_key_file: scutum-www}\n",
        extra="scutum: {url: https://127.0.0.1:9443/api/v1, ca_file: /etc/dvcertd/ca.pem}\n",
    )
    host.systemctl("start")
    until(lambda: [r for r in host.admin("GET", "requests")["requests"] if r["endpoint"] == "scutum"], why="a push is under way")
    assert host.status()["state"] == "deploying"
    host.systemctl("kill", "-s", "KILL")
    until(lambda: host.is_back(1), why="restarted")
    host.wait_valid()
    order = one_order(host)
    pushes = host.admin("GET", "scutum")["pushes"]
    assert pushes[-1]["serial"].lower().lstrip("0") == order["serial"].lower().lstrip("0")


def test_upgrade_in_the_middle_of_an_issuance(host):
    """What a package does: another binary, then `systemctl restart`, again and again while an order is under way."""
    host.systemctl("stop", check=False)
    host.run("systemctl", "stop", "ca.service")
    host.start_ca("--issue-delay", "4s")
    host.systemctl("start")
    for phase in ("order placed", "proof is published"):
        host.wait_record(phase.replace("order placed", r"order \d+ placed"))
        host.sh("cp /usr/sbin/dvcertd /usr/sbin/dvcertd.new && mv /usr/sbin/dvcertd.new /usr/sbin/dvcertd")
        host.systemctl("restart")
        assert host.state() == "active"
    host.wait_valid()
    one_order(host)
    assert host.show("NRestarts") == "0"


def test_crash_loop_ends_and_a_person_can_start_again(host):
    """A paid API is not hammered: five starts in ten minutes, then it is failed and stays so."""
    host.drop_in("[Service]\nRestartSec=100ms\n")
    host.systemctl("start")
    for n in range(1, 5):
        host.systemctl("kill", "-s", "KILL")
        until(lambda n=n: host.is_back(n), why=f"restart {n}")
    host.systemctl("kill", "-s", "KILL")
    until(lambda: host.state() == "failed", why="no sixth start")
    assert "start-limit-hit" in host.journal("-u", UNIT) or "too quickly" in host.journal("-u", UNIT)
    host.systemctl("reset-failed")
    host.systemctl("start")
    host.wait_valid()
    one_order(host)


# --- the watchdog ---


def back_after_hang(host, began, limit=2):
    """SIGABRT came, and a new process is ready. Returns how long that took."""
    killed = rf"Watchdog timeout \(limit {limit}s\)!(.|\n)*Killing process \d+ \(dvcertd\) with signal SIGABRT"
    until(lambda: re.search(killed, host.journal("-u", UNIT)), timeout=15, every=0.02, why="the watchdog's signal")
    # A traced thread dies only when its tracer lets it.
    host.run("systemctl", "kill", "-s", "KILL", "tracer.service", check=False)
    until(lambda: host.is_back(1), timeout=15, every=0.02, why="restarted by the watchdog")
    return time.monotonic() - began


def test_watchdog_ends_a_stopped_process(host):
    host.drop_in(SHORT_WATCHDOG)
    host.systemctl("start")
    host.wait_valid()
    began = time.monotonic()
    host.run("kill", "-STOP", str(host.pid()))
    assert back_after_hang(host, began) <= BACK_LIMIT
    assert host.status()["state"] == "valid"
    one_order(host)


def trace(host, *argv):
    """A debugger as the fault: no failpoint has to be in the shipped program."""
    host.run("systemd-run", "--quiet", "--unit=tracer", "--collect", "strace", "-q", "-o", "/dev/null", *argv, "-p", host.pid())
    until(lambda: "TracerPid:\t0\n" not in host.sh(f"cat /proc/{host.pid()}/status"), why="traced")


def test_watchdog_ends_a_hung_loop(host):
    """The loop's thread hangs in a system call, the others live."""
    host.drop_in(SHORT_WATCHDOG)
    host.systemctl("start")
    host.wait_valid()
    trace(host, "-e", "inject=epoll_wait,epoll_pwait:delay_exit=60s")
    assert back_after_hang(host, time.monotonic()) <= BACK_LIMIT + 1  # the tracer needs its time
    assert host.status()["state"] == "valid"


def test_watchdog_ends_hung_workers(host):
    """All pool threads hang in fsync, the loop turns and answers: that is not alive. Who it was is remembered."""
    names = [f"w{i}.example.jp" for i in range(5)]
    host.drop_in("[Service]\nWatchdogSec=4\nRestartSec=500ms\n")
    host.configure(*[DOMAIN % n for n in names])
    host.systemctl("start")
    host.wait_valid(*names)
    trace(host, "-f", "-e", "inject=fsync:delay_enter=60s")
    host.ctl("renew", *names, check=False)
    assert host.status(names[0])["name"] == names[0]  # the loop answers
    host.wait_record("worker threads hang", "PRIORITY=3")
    back_after_hang(host, time.monotonic(), limit=4)
    host.wait_record("the last run of this program died while it worked for w[0-4]")
    host.wait_valid(*names)
    for name in names:
        assert len(host.orders(name)) == 1


def test_watchdog_is_fed_for_long(host):
    """Five times its period, idle and with work: nothing is restarted."""
    host.drop_in(SHORT_WATCHDOG)
    host.systemctl("start")
    host.wait_valid()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        host.systemctl("reload")
    assert host.show("NRestarts") == "0" and host.status()["state"] == "valid"


# --- credentials ---


def test_encrypted_credential(host):
    host.sh("""
        umask 077
        systemd-creds setup >/dev/null 2>&1
        cd /etc/dvcertd/credentials
        systemd-creds encrypt --with-key=host --name=certcentral-api-key certcentral-api-key certcentral-api-key.cred
        rm certcentral-api-key
    """)
    host.drop_in(
        "[Service]\nLoadCredential=\n"
        "LoadCredentialEncrypted=certcentral-api-key:/etc/dvcertd/credentials/certcentral-api-key.cred\n"
    )
    host.systemctl("start")
    host.wait_valid()
    key = host.api_key()
    assert host.run("grep", "-rlF", key, "/etc", "/var/lib/dvcertd", "/run/systemd", check=False).stdout == ""


def test_other_users_do_not_see_credentials(host):
    host.systemctl("start")
    host.wait_valid()
    path = f"/run/credentials/{UNIT}/certcentral-api-key"
    assert host.run("cat", path).stdout.strip() == host.api_key()
    for argv in (["cat", path], ["cat", "/etc/dvcertd/credentials/certcentral-api-key"], ["cat", f"/proc/{host.pid()}/environ"]):
        assert host.run("setpriv", "--reuid=nobody", "--clear-groups", *argv, check=False).returncode != 0
    assert host.api_key() not in host.sh(f"tr '\\0' '\\n' </proc/{host.pid()}/environ; tr '\\0' ' ' </proc/{host.pid()}/cmdline")


def refused_posts(host):
    return [r for r in host.admin("GET", "requests")["requests"] if r["status"] in (401, 403)]


def is_failed(host):
    return host.status()["state"] == "failed"


def test_credential_rotation_by_restart(host):
    """systemd copies credentials when the unit starts, not at a reload: a restart brings the new one, at any moment."""
    source, copy = "/etc/dvcertd/credentials/certcentral-api-key", f"/run/credentials/{UNIT}/certcentral-api-key"
    good = host.api_key()
    host.put(source, "lost" * 10 + "\n", 0o600)
    host.systemctl("start")
    until(lambda: is_failed(host), why="the old key is refused")
    host.put(source, good + "\n", 0o600)
    n = len(refused_posts(host))
    host.systemctl("reload")
    assert host.run("cat", copy).stdout == "lost" * 10 + "\n"
    until(lambda: len(refused_posts(host)) > n and is_failed(host), why="still the old key after a reload")
    host.systemctl("restart")
    assert host.run("cat", copy).stdout == good + "\n"
    host.wait_valid()  # what the old key had stopped goes on by itself
    one_order(host)


def test_credential_rotation_by_reload(host):
    """A secret that is named by its path is read again at each reload."""
    path = "/etc/dvcertd/keys/certcentral"
    host.sh("install -d -o dvcertd -m 0700 /etc/dvcertd/keys")
    host.put(path, "lost" * 10 + "\n", 0o600, "dvcertd:dvcertd")
    host.configure(main=host.config_text().replace("api_key_file: certcentral-api-key", f"api_key_file: {path}"))
    host.drop_in("[Service]\nLoadCredential=\n")
    host.systemctl("start")
    until(lambda: is_failed(host), why="the old key is refused")
    pid = host.pid()
    host.put(path, host.api_key() + "\n", 0o600, "dvcertd:dvcertd")
    host.systemctl("reload")
    host.wait_valid()
    one_order(host)
    assert host.pid() == pid


def test_restart_right_after_the_start_and_in_all_haste(host):
    """`systemctl restart` is safe at any moment: ten of them in a row, and one order."""
    host.drop_in("[Unit]\nStartLimitBurst=100\n")
    for _ in range(10):
        host.systemctl("restart")
    host.wait_valid()
    one_order(host)


def test_signal_that_stops_is_no_failure(host):
    host.systemctl("start")
    host.systemctl("kill", "-s", str(int(signal.SIGTERM)))
    until(lambda: host.state() == "inactive", why="stopped")
    assert host.show("NRestarts") == "0"
