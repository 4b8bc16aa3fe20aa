# SPDX-License-Identifier: Apache-2.0
"""What the shipped unit keeps its processes from, tried from inside: each row once in a unit that restricts nothing (as root), once in
ours. A row that says the same twice would prove nothing; where it does so on purpose, the daemon needs what it says."""

import pathlib
import re

import pytest
from host import BUILD, ROOT, UNIT

NEEDED = "ok"

# probe: (in a unit that restricts nothing, in ours)
TABLE = {
    # what the daemon needs
    "write_state": ("ok", NEEDED),
    "write_runtime": ("ok", NEEDED),
    "write_webroot": ("ok", NEEDED),
    "write_tmp": ("ok", NEEDED),
    "see_config": ("ok", NEEDED),
    "exec_usr": ("ok", NEEDED),
    "exec_bin": ("ok", NEEDED),
    "exec_usr_local": ("ok", NEEDED),
    "af_unix": ("ok", NEEDED),
    "af_inet": ("ok", NEEDED),
    "af_inet6": ("ok", NEEDED),
    "send_loopback": ("ok", NEEDED),
    "send_loopback6": ("ok", NEEDED),
    "send_public": ("ok", NEEDED),
    "send_public6": ("ok", NEEDED),
    "send_private": ("ok", NEEDED),
    "send_unique_local6": ("ok", NEEDED),
    # ProtectSystem=, RootDirectory=
    "write_usr": ("ok", "EROFS"),
    "write_etc": ("ok", "EROFS"),
    "write_run": ("ok", "EROFS"),
    "write_root": ("ok", "EROFS"),
    "see_srv": ("ok", "ENOENT"),
    "see_other_state": ("ok", "ENOENT"),
    "see_log": ("ok", "ENOENT"),
    "see_home": ("ok", "ENOENT"),
    "see_root_home": ("ok", "EACCES"),  # ProtectHome=
    "see_shared_tmp": ("ok", "ENOENT"),  # PrivateTmp=
    "see_credentials_of_others": ("ok", "ENOENT"),
    # ProtectProc=, ProcSubset=, ProtectKernelTunables=, ProtectControlGroups=
    "see_other_process": ("ok", "ENOENT"),
    "see_cpuinfo": ("ok", "ENOENT"),
    "write_proc_sys": ("ok", "ENOENT"),
    "write_cgroup": ("ok", "EROFS"),
    # RestrictSUIDSGID=: its filter cannot look into openat2()'s argument, so it takes all of it
    "set_uid_bit": ("ok", "EPERM"),
    "set_gid_bit": ("ok", "EPERM"),
    "call_openat2": ("ok", "ENOSYS"),
    # NoExecPaths=
    "exec_state": ("ok", "EACCES"),
    "exec_tmp": ("ok", "EACCES"),
    "exec_webroot": ("ok", "EACCES"),
    # RestrictAddressFamilies=
    "af_packet": ("ok", "EAFNOSUPPORT"),
    "af_netlink": ("ok", "EAFNOSUPPORT"),
    "af_vsock": ("ok", "EAFNOSUPPORT"),
    # IPAddressDeny=
    "send_metadata": ("ok", "EPERM"),
    "send_link_local6": ("ok", "EPERM"),
    "send_multicast": ("ok", "EPERM"),
    # User=, CapabilityBoundingSet=, PrivateDevices=
    "is_root": ("ok", "EPERM"),
    "any_capability": ("ok", "EPERM"),
    "make_device": ("ok", "EPERM"),
    "raw_disk": ("ok", "EPERM"),
    "change_owner": ("ok", "EPERM"),
    "raw_socket": ("ok", "EPERM"),
    "low_port": ("ok", "EACCES"),
    "set_user": ("ok", "EPERM"),
    "set_priority": ("ok", "EPERM"),
    "do_chroot": ("ok", "EPERM"),
    "do_mount": ("ok", "EPERM"),
    "trace_child": ("ok", "EPERM"),
    # MemoryDenyWriteExecute=, LockPersonality=, RestrictRealtime=, ProtectHostname=, SystemCallArchitectures=
    "map_write_exec": ("ok", "EPERM"),
    "set_personality": ("ok", "EPERM"),
    "set_real_time": ("ok", "EPERM"),
    "set_hostname": ("ok", "EPERM"),
    "old_system_calls": ("ok", "signal 31"),
    # RestrictNamespaces=
    "new_user_ns": ("ok", "EPERM"),
    "new_net_ns": ("ok", "EPERM"),
    "new_mount_ns": ("ok", "EPERM"),
    "new_pid_ns": ("ok", "EPERM"),
    "new_ipc_ns": ("ok", "EPERM"),
    "new_uts_ns": ("ok", "EPERM"),
    "new_cgroup_ns": ("ok", "EPERM"),
    # SystemCallFilter=
    "call_keyctl": ("ok", "EPERM"),
    "call_bpf": ("ok", "EPERM"),
    "call_perf": ("ok", "EPERM"),
    "call_io_uring": ("ok", "EPERM"),
    "call_userfaultfd": ("ok", "EPERM"),
    # NoNewPrivileges=, LimitCORE=, UMask=
    "new_privileges": ("ok", "EPERM"),
    "core_file": ("ok", "EPERM"),
    "umask_open": ("ok", "EPERM"),
}
# The container takes these from its root too, so that only "ours" can be told here: ProtectClock=, ProtectKernelModules=
OURS_ONLY = {"set_clock": "EPERM", "load_module": "EPERM"}
# Kernels differ in what they have.
ABSENT = {"af_vsock", "call_io_uring", "call_userfaultfd", "call_bpf", "call_keyctl", "old_system_calls", "call_perf"}

WORLD = """
for a in 169.254.169.254/32 198.51.100.1/32 10.1.2.3/32; do ip addr add $a dev lo; done
for a in fe80::1/128 2001:db8::1/128 fd00::1/128; do ip -6 addr add $a dev lo nodad; done
ip link set lo multicast on
ip route add 224.0.0.0/4 dev lo
mkdir -p /home /srv /run/credentials/other.service /run/dvcertd
touch /srv/marker /home/marker /root/marker /var/lib/marker /tmp/marker
cp /bin/true /usr/local/bin/probe-true
cp /run/probe /usr/local/bin/probe
"""


def lines_of(host, unit):
    text = host.journal("-o", "cat", "-u", unit, "SYSLOG_IDENTIFIER=probe")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.fixture
def probed(host):
    path = ROOT / BUILD / "tests/systemd/probe"
    if not path.exists():
        pytest.skip(f"{path} is not built")
    host.put_file("/run/probe", path, 0o755)
    host.sh(WORLD)
    host.put(
        "/etc/systemd/system/probe-open.service",
        "[Service]\nType=oneshot\nExecStart=/usr/local/bin/probe\nStateDirectory=dvcertd\nRuntimeDirectory=dvcertd\n",
    )
    host.drop_in("[Service]\nType=oneshot\nExecStart=\nExecStart=/usr/local/bin/probe\nRestart=no\nWatchdogSec=0\n")
    host.run("systemctl", "start", "probe-open.service")
    host.systemctl("start")
    return lines_of(host, "probe-open.service"), lines_of(host, UNIT)


def test_every_restriction_from_inside(probed):
    open_unit, ours = probed
    assert set(ours) == set(TABLE) | set(OURS_ONLY)
    wrong = []
    for name, (without, with_) in TABLE.items():
        if open_unit[name] != without and name not in ABSENT:
            wrong.append(f"{name}: {open_unit[name]} instead of {without} without restrictions")
        if ours[name] != with_ and not (name in ABSENT and open_unit[name] == ours[name]):
            wrong.append(f"{name}: {ours[name]} instead of {with_} in {UNIT}")
    wrong += [f"{name}: {ours[name]} instead of {with_}" for name, with_ in OURS_ONLY.items() if ours[name] != with_]
    assert not wrong, "\n".join(wrong)


def test_rating(host):
    """Below 1.0, by the unit as it runs and by its file."""
    host.systemctl("start")
    done = host.run("systemd-analyze", "security", "--no-pager", "--threshold=9", UNIT, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"Overall exposure level for dvcertd.service: 0\.\d", done.stdout)


def test_the_daemon_closes_what_is_left(host):
    """Not dumpable: what its own user runs (a hook) can neither trace it nor read its memory or environment."""
    host.systemctl("start")
    host.wait_valid()
    pid = host.pid()
    status = host.sh(f"cat /proc/{pid}/status")
    assert re.search(r"^Seccomp:\t2$", status, re.M) and re.search(r"^NoNewPrivs:\t1$", status, re.M)
    assert re.search(r"^CapBnd:\t0+$", status, re.M)
    assert host.sh(f"stat -c %U /proc/{pid}/mem").strip() == "root"  # the kernel's sign for "not dumpable"
    for argv in ("cat environ", "cat maps", "head -c1 mem", "ls fd/", "ls map_files/", "ls cwd/"):
        command, what = argv.rsplit(" ", 1)
        done = host.run(
            "setpriv", "--reuid=dvcertd", "--regid=dvcertd", "--clear-groups", *command.split(), f"/proc/{pid}/{what}", check=False
        )
        assert done.returncode != 0 and "ermission denied" in done.stderr, (argv, done)
    # Nothing is inherited and nothing is left open to whoever can connect.
    listening = host.sh(f"ss -lxntp | grep pid={pid}, | grep LISTEN").splitlines()
    assert len(listening) == 2
    assert all("/run/dvcertd/control.sock" in x or "127.0.0.1:8402" in x for x in listening), listening


def test_swap_is_closed(host):
    """MemorySwapMax=: what systemd made of it, and what the kernel has where its memory controller is ours to see."""
    host.systemctl("start")
    assert host.show("MemorySwapMax") == "0"
    helper = "dvcertd-helper@test.service"
    assert host.run("systemctl", "show", "-p", "MemorySwapMax", helper).stdout == "MemorySwapMax=0\n"
    if "memory" not in host.sh("cat /sys/fs/cgroup/cgroup.controllers").split():
        pytest.skip("the machine keeps the memory controller in cgroup v1: memory.swap.max cannot be looked at")
    assert host.sh(f"cat /sys/fs/cgroup{host.show('ControlGroup')}/memory.swap.max") == "0\n"


def test_the_probe_is_the_table():
    """A probe that nobody expects anything of is a mistake; needs no box."""
    text = (pathlib.Path(__file__).parent / "probe.c").read_text()
    assert set(re.findall(r"PROBE\((\w+)\)", text)) - {"fn"} == set(TABLE) | set(OURS_ONLY)
