# SPDX-License-Identifier: Apache-2.0
"""A systemd of which nothing is real but what dvcertd-helper talks to: the D-Bus protocol on a unix socket, and five methods.
What becomes of a unit's reload is said by the test. Programs (StartTransientUnit) are run for real.

D-Bus specification: https://dbus.freedesktop.org/doc/dbus-specification.html (little endian only).
"""

import array
import os
import socket
import struct
import subprocess
import threading

CALL, REPLY, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE, FDS = range(1, 10)
ALIGN = {"y": 1, "g": 1, "v": 1, "b": 4, "i": 4, "u": 4, "h": 4, "s": 4, "o": 4, "a": 4, "t": 8, "x": 8, "(": 8, "{": 8}
FIXED = {"y": "<B", "b": "<I", "i": "<i", "u": "<I", "h": "<I", "t": "<Q", "x": "<q"}


def one(signature):
    """The first complete type of a signature."""
    if signature[0] == "a":
        return "a" + one(signature[1:])
    if signature[0] in "({":
        depth = 0
        for i, c in enumerate(signature):
            depth += (c in "({") - (c in ")}")
            if depth == 0:
                return signature[: i + 1]
    return signature[0]


def each(signature):
    while signature:
        t = one(signature)
        yield t
        signature = signature[len(t):]


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def align(self, n):
        self.at += -self.at % n

    def take(self, n):
        self.at += n
        return self.data[self.at - n : self.at]

    def text(self, size):
        (n,) = struct.unpack("<I", self.take(4)) if size == 4 else (self.take(1)[0],)
        return self.take(n + 1)[:-1].decode()

    def value(self, t):
        self.align(ALIGN[t[0]])
        if t[0] in FIXED:
            return struct.unpack(FIXED[t[0]], self.take(struct.calcsize(FIXED[t[0]])))[0]
        if t[0] in "so":
            return self.text(4)
        if t[0] == "g":
            return self.text(1)
        if t[0] == "v":
            return self.value(self.text(1))
        if t[0] in "({":
            return [self.value(x) for x in each(t[1:-1])]
        (n,) = struct.unpack("<I", self.take(4))
        self.align(ALIGN[t[1]])
        end, found = self.at + n, []
        while self.at < end:
            found.append(self.value(t[1:]))
        return found


class Writer:
    def __init__(self):
        self.data = bytearray()

    def align(self, n):
        self.data += bytes(-len(self.data) % n)

    def add(self, t, value):
        self.align(ALIGN[t])
        if t in FIXED:
            self.data += struct.pack(FIXED[t], value)
        elif t in "so":
            self.data += struct.pack("<I", len(value.encode())) + value.encode() + b"\0"
        else:
            self.data += bytes([len(value)]) + value.encode() + b"\0"


class Peer:
    """One connection."""

    def __init__(self, owner, conn):
        self.owner, self.conn = owner, conn
        self.serial = 0
        self.fds = []
        self.lock = threading.Lock()
        self.buffer = b""

    def more(self):
        data, ancillary, _, _ = self.conn.recvmsg(65536, socket.CMSG_SPACE(64))
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
                self.fds += numbers
        if not data:
            raise EOFError
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.lstrip(b"\0")

    def authenticate(self):
        guid = b"OK 0123456789abcdef0123456789abcdef\r\n"
        while True:
            line = self.line()
            if line == b"BEGIN":
                return
            if line == b"AUTH EXTERNAL":
                self.conn.sendall(b"DATA\r\n")
            elif line.startswith((b"AUTH EXTERNAL", b"DATA")):
                self.conn.sendall(guid)
            elif line == b"NEGOTIATE_UNIX_FD":
                self.conn.sendall(b"AGREE_UNIX_FD\r\n")
            else:
                self.conn.sendall(b"ERROR\r\n")

    def message(self):
        while len(self.buffer) < 16:
            self.more()
        n_body, serial, n_fields = struct.unpack("<III", self.buffer[4:16])
        start = 16 + n_fields + -n_fields % 8
        while len(self.buffer) < start + n_body:
            self.more()
        kind = self.buffer[1]
        fields = dict(Reader(self.buffer, 12).value("a(yv)"))
        body = Reader(self.buffer[start : start + n_body])
        values = [body.value(t) for t in each(fields.get(SIGNATURE, ""))]
        self.buffer = self.buffer[start + n_body :]
        fds, self.fds = self.fds, []
        return kind, serial, fields, values, fds

    def send(self, kind, fields, signature="", *values):
        body = Writer()
        for t, v in zip(signature, values):
            body.add(t, v)
        head = Writer()
        fields = {**fields, **({SIGNATURE: signature} if signature else {})}
        for key, value in fields.items():
            head.align(8)
            t = {PATH: "o", SIGNATURE: "g", REPLY_SERIAL: "u"}.get(key, "s")
            head.add("y", key)
            head.add("g", t)
            head.add(t, value)
        with self.lock:
            self.serial += 1
            start = struct.pack("<BBBBIII", ord("l"), kind, 1, 1, len(body.data), self.serial, len(head.data))
            packet = start + head.data
            self.conn.sendall(packet + bytes(-len(packet) % 8) + body.data)

    def reply(self, serial, signature="", *values):
        self.send(REPLY, {REPLY_SERIAL: serial, SENDER: "org.freedesktop.systemd1"}, signature, *values)

    def error(self, serial, name, text):
        self.send(ERROR, {REPLY_SERIAL: serial, ERROR_NAME: name, SENDER: "org.freedesktop.systemd1"}, "s", text)

    def job_removed(self, job, unit, result):
        fields = {
            PATH: "/org/freedesktop/systemd1", INTERFACE: "org.freedesktop.systemd1.Manager", MEMBER: "JobRemoved",
            SENDER: "org.freedesktop.systemd1",
        }  # fmt: skip
        self.send(SIGNAL, fields, "uoss", job, f"/org/freedesktop/systemd1/job/{job}", unit, result)

    def serve(self):
        try:
            self.authenticate()
            while True:
                kind, serial, fields, values, fds = self.message()
                if kind == CALL:
                    getattr(self, "do_" + fields[MEMBER])(serial, values, fds)
        except (EOFError, OSError):
            pass
        finally:
            self.conn.close()

    # --- methods ---

    def do_Hello(self, serial, _values, _fds):
        self.reply(serial, "s", ":1.7")

    def do_AddMatch(self, serial, _values, _fds):
        self.reply(serial)

    do_Subscribe = do_RemoveMatch = do_AddMatch

    def do_ReloadOrTryRestartUnit(self, serial, values, _fds):
        unit, mode = values
        assert mode == "replace"
        self.owner.calls.append(("reload", unit))
        what = self.owner.units.get(unit, "nosuch")
        if what == "nosuch":
            self.error(serial, "org.freedesktop.systemd1.NoSuchUnit", f"Unit {unit} not found.")
        elif what == "denied":
            self.error(serial, "org.freedesktop.DBus.Error.AccessDenied", "Permission denied")
        elif what == "mute":
            pass
        elif what == "leave":
            self.conn.close()
        else:
            # Signals of others, and ours before the answer: both happen.
            self.job_removed(1, "other.service", "failed")
            if what == "early":
                self.job_removed(42, unit, "done")
            self.reply(serial, "o", "/org/freedesktop/systemd1/job/42")
            if what not in ("early", "hang"):
                self.job_removed(42, unit, what)

    def do_StartTransientUnit(self, serial, values, fds):
        unit, mode, properties, aux = values
        properties = dict(properties)
        assert mode == "fail" and aux == [] and properties["Type"] == "oneshot"
        if self.owner.refuses_tests:
            self.error(serial, "org.freedesktop.DBus.Error.AccessDenied", "Permission denied")
            return
        ((program, argv, ignore),) = properties["ExecStart"]
        assert program == argv[0] and ignore == 0
        self.owner.calls.append(("test", *argv))
        self.reply(serial, "o", "/org/freedesktop/systemd1/job/7")
        proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=fds[0], stderr=fds[1], env={"PATH": "/usr/bin:/bin"})
        for fd in fds:
            os.close(fd)
        try:
            code = proc.wait(properties["TimeoutStartUSec"] / 1e6)
        except subprocess.TimeoutExpired:
            proc.kill()
            code = proc.wait()
        self.job_removed(7, unit, "done" if code == 0 else "failed")


class FakeSystemd:
    """units: name -> "done", "failed", "early", "hang", "mute", "leave", "denied", ...; any other unit does not exist."""

    def __init__(self, path):
        self.path = str(path)
        self.units = {}
        self.calls = []
        self.refuses_tests = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return f"unix:path={self.path}"

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=Peer(self, conn).serve, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
