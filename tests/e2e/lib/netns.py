# SPDX-License-Identifier: Apache-2.0
"""A network of our own: nothing but loopback, where every port is free, and a resolv.conf that says what the test wants.

The test itself moves in, so that whatever it starts meanwhile (daemon, CA, web server, name servers) is inside too, and
moves out at the end. That takes root, or somebody who is root in a namespace of his own:

    unshare -Urmn /usr/bin/python3 -m pytest tests/e2e/test_nameserver.py
"""

import ctypes
import fcntl
import os
import pathlib
import socket
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
IFF_UP = 1

RESOLV_CONF = "/etc/resolv.conf"

libc = ctypes.CDLL(None, use_errno=True)
libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p]


class Unable(Exception):
    """This machine does not let us; the text says why."""


def call(what, *args):
    if getattr(libc, what)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, flags):
    call("mount", os.fsencode(source), os.fsencode(target), None, flags, None)


def bring_up(addresses):
    """All of 127.0.0.0/8 works anyway, but BIND listens only to what an interface has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))
        for i, address in enumerate(addresses):
            place = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(s, SIOCSIFADDR, struct.pack("16s16s8x", f"lo:{i}".encode(), place))


class Namespace:
    """Use it as `with`. Only for the thread that enters it and for what that starts."""

    KINDS = {"net": CLONE_NEWNET, "mnt": CLONE_NEWNS}

    def __init__(self, folder, nameserver, addresses=()):
        self.addresses = addresses
        self.file = pathlib.Path(folder) / "resolv.conf"
        self.file.write_text(f"nameserver {nameserver}\noptions timeout:1 attempts:2\n")
        self.file.chmod(0o644)
        self.before = {}

    def __enter__(self):
        # The mount follows a symlink, and needs something to cover.
        if not os.path.exists(RESOLV_CONF):
            raise Unable(f"{RESOLV_CONF} is missing here, so nothing can be put in its place")
        # The way back leads to the root of the mount namespace, which is not ours in a plain chroot.
        mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        if not any(line.split()[4] == "/" for line in mounts):
            raise Unable("/ is no mount point: this is a chroot")
        self.cwd = os.getcwd()
        self.before = {kind: os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in self.KINDS}
        try:
            call("unshare", CLONE_NEWNS | CLONE_NEWNET)
        except OSError as e:
            self._close()
            raise Unable(f"no network of its own without root ({e}); as somebody else: unshare -Urmn ... pytest") from None
        try:
            mount("none", "/", MS_REC | MS_PRIVATE)
            mount(self.file, RESOLV_CONF, MS_BIND)
            bring_up(self.addresses)
        except OSError as e:
            self.__exit__()
            raise Unable(f"cannot set up a network of its own: {e}") from None
        return self

    def __exit__(self, *_exc):
        for kind, flag in self.KINDS.items():
            call("setns", self.before[kind], flag)
        os.chdir(self.cwd)  # setns has gone to the root
        self._close()

    def _close(self):
        for fd in self.before.values():
            os.close(fd)
        self.before = {}
