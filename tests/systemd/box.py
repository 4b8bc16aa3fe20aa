# SPDX-License-Identifier: Apache-2.0
"""A real systemd as process 1 of a throw-away container, in half a second and without a download.

The box is an overlay: below it this machine's own root, read only, above it a tmpfs. All mounts live in a mount namespace of the box
and all processes below one process of ours, which the kernel ends when we end: whatever happens, nothing is left behind. There is no
network in it but its own loopback.

    with box.Box() as b:
        b.run("systemctl", "status")

What is not shown here: memory and task limits of a unit (the controllers may belong to the machine), and anything about real devices.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_LIMIT = 60.0
PR_SET_PDEATHSIG = 1

# basic.target brings sockets, tmpfiles and the journal; nothing of what the machine would start.
TARGET = """\
[Unit]
Description=the box
Requires=basic.target dbus.service
After=basic.target dbus.service
AllowIsolate=yes
"""

# Runs in a mount namespace of its own. The units of the machine are taken away (a package that brings a service enables it), and so is
# its identity: "uninitialized" would start presets of all units as on a first boot. A cgroup of its own, because two boxes would meet in
# the one that they were started in.
BOOT = r"""
set -eu
mount -t tmpfs -o mode=755 tmpfs "$BOX"
mkdir "$BOX/upper" "$BOX/work" "$BOX/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$BOX/upper,workdir=$BOX/work" "$BOX/root"
r=$BOX/root
rm -rf "$r/etc/systemd/system" "$r/var/log/journal" "$r/etc/machine-id"
rm -f "$r/usr/sbin/policy-rc.d"
mkdir -p "$r/etc/systemd/system" "$r/var/log/journal"
printf '%s' "$TARGET" >"$r/etc/systemd/system/box.target"
printf '%s\n' "$MACHINE" >"$r/etc/machine-id"
if [ -n "$CGROUP" ]; then
    mkdir "$CGROUP"
    echo $$ >"$CGROUP/cgroup.procs"
fi
exec systemd-nspawn --quiet --directory="$r" --boot --register=no --keep-unit --private-network \
    --capability=CAP_NET_ADMIN --resolv-conf=off --timezone=off --link-journal=no --machine="box-$MACHINE" \
    --console=pipe -- --unit=box.target --log-target=journal
"""


class Refused(Exception):
    """This machine cannot do it: why."""


def why_not():
    """Why no box can be made here, or None. The last word has the attempt itself."""
    if os.geteuid() != 0:
        return "not root"
    for name in ("systemd-nspawn", "nsenter", "unshare", "setsid"):
        if not shutil.which(name, path=PATH):
            return f"{name} is not installed"
    return None


def _die_with_parent():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _cgroup_root():
    """Where cgroup v2 is mounted, and our own place in it; "" where there is none."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        if after.split()[0] == "cgroup2":
            for own in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
                if own.startswith("0::"):
                    return pathlib.Path(before.split()[4] + own[3:])
    return None


class Box:
    def __init__(self):
        reason = why_not()
        if reason:
            raise Refused(reason)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="box", dir="/tmp"))
        self.console = self.dir.with_suffix(".console")
        self.machine = uuid.uuid4().hex
        root = _cgroup_root()
        self.cgroup = root / f"box-{self.machine}" if root and os.access(root, os.W_OK) else None
        self.proc = None
        self.leader = None
        try:
            self._boot()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- life ---

    def _boot(self):
        env = {
            "PATH": PATH, "BOX": str(self.dir), "TARGET": TARGET, "MACHINE": self.machine, "CGROUP": str(self.cgroup or ""),
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            # nspawn's own filter would answer before the unit's; what a unit may do is what is tested.
            "SYSTEMD_SECCOMP": "0",
        }  # fmt: skip
        with open(self.console, "wb") as log:
            self.proc = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "setsid", "sh", "-c", BOOT],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent,
            )  # fmt: skip
        deadline = time.monotonic() + BOOT_LIMIT
        while not self._is_running():
            if self.proc.poll() is not None or time.monotonic() > deadline:
                raise Refused(f"systemd does not boot in a container here: {self._console()}")
            time.sleep(0.05)

    def _console(self):
        return " / ".join(self.console.read_text(errors="replace").strip().splitlines()[-5:])

    def _is_running(self):
        """Process 1 of the box is the one child of systemd-nspawn."""
        try:
            children = pathlib.Path(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children").read_text().split()
        except OSError:
            return False
        if not children:
            return False
        self.leader = int(children[0])
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def close(self):
        if self.proc and self.proc.poll() is None:
            # SIGTERM to nspawn is an orderly power off; its processes are in a namespace that ends with it.
            self.proc.terminate()
            try:
                self.proc.wait(20)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.proc = None
        self._remove_cgroup()
        shutil.rmtree(self.dir, ignore_errors=True)
        self.console.unlink(missing_ok=True)

    def _remove_cgroup(self):
        """Its processes are dying: the kernel keeps a folder until the last is gone."""
        deadline = time.monotonic() + 15
        while self.cgroup and self.cgroup.is_dir() and time.monotonic() < deadline:
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            if self.cgroup.is_dir():
                time.sleep(0.05)

    # --- inside ---

    def _enter(self, argv):
        return ["nsenter", "--target", str(self.leader), "--all", "env", "-i", f"PATH={PATH}", "HOME=/root", "LC_ALL=C.UTF-8", *argv]

    def run(self, *argv, check=True, data=None, timeout=60.0):
        """A command in the box, as root. Text in, text out."""
        done = subprocess.run(
            self._enter([str(a) for a in argv]), input=data, capture_output=True, text=True, errors="replace", timeout=timeout,
            stdin=subprocess.DEVNULL if data is None else None,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def sh(self, text, **more):
        """A shell script in the box; what it printed."""
        return self.run("sh", "-euc", text, **more).stdout

    def put(self, path, text, mode=0o644, owner="root:root"):
        """Writes a file from inside: the overlay below it never sees two writers."""
        script = 'mkdir -p "$(dirname "$1")"; umask 077; cat >"$1.new"; chown "$3" "$1.new"; chmod "$2" "$1.new"; mv "$1.new" "$1"'
        self.run("sh", "-euc", script, "put", path, f"{mode:o}", owner, data=text)

    def unpack(self, folder):
        """Copies a folder of this machine over the root of the box."""
        tar = subprocess.Popen(["tar", "-C", str(folder), "-cf", "-", "."], stdout=subprocess.PIPE)
        done = subprocess.run(
            self._enter(["tar", "-C", "/", "--no-same-owner", "--no-overwrite-dir", "-xf", "-"]), stdin=tar.stdout, capture_output=True, text=True
        )
        tar.stdout.close()
        assert tar.wait() == 0 and done.returncode == 0, done.stderr
