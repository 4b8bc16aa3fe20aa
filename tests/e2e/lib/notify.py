# SPDX-License-Identifier: Apache-2.0
"""The service manager's end of sd_notify(3): a datagram socket that remembers what the daemon said."""

import socket
import threading
import time
import uuid

from . import base


class NotifySocket:
    def __init__(self, path):
        self.path = str(path)
        self.messages = []  # (monotonic time, {"READY": "1", ...})
        self.news = threading.Condition()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(0.5)
        self.closing = False
        # A thread, because a sender blocks when nobody reads.
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while not self.closing:
            try:
                text = self.sock.recv(65536).decode(errors="replace")
            except socket.timeout:
                continue
            except OSError:
                return
            message = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
            with self.news:
                self.messages.append((time.monotonic(), message))
                self.news.notify_all()

    def close(self):
        self.closing = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"BYE=1", self.path)
        self.thread.join(5)
        self.sock.close()

    def mark(self):
        """A place in the stream, for wait(after=...): behind all that was sent before, whether our thread had read it or not. The READY
        of a process that has ended must not pass for that of the next one."""
        token = uuid.uuid4().hex
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as marker:
            marker.sendto(f"MARK={token}".encode(), self.path)
        return self.wait("MARK", token)

    def wait(self, key, value="1", after=0, timeout=20.0, alive=lambda: True):
        """The index behind the first message from `after` on that has key=value (value None: any)."""
        deadline = time.monotonic() + timeout * base.PATIENCE
        with self.news:
            while True:
                for i in range(after, len(self.messages)):
                    if key in self.messages[i][1] and value in (None, self.messages[i][1][key]):
                        return i + 1
                if not alive() or time.monotonic() >= deadline:
                    raise base.TimedOut(f"no {key}={value} came; came: {[m for _, m in self.messages[after:]]}")
                self.news.wait(0.1)

    def last(self, key):
        """The latest value of a key, or None."""
        with self.news:
            values = [m[key] for _, m in self.messages if key in m]
        return values[-1] if values else None
