# SPDX-License-Identifier: Apache-2.0
"""A door in front of a server: bytes go through while it is open; while it is shut, connections are refused."""

import contextlib
import select
import socket
import threading


class Gate:
    """to: (host, port) behind it. Open when the constructor returns."""

    def __init__(self, to, host="127.0.0.1"):
        self.to = to
        self.host = host
        # Bound and not listening: the port stays ours, and refuses.
        self.holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.holder.bind((host, 0))
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = self.holder.getsockname()[1]
        self.n = 0  # connections that were let in
        self.lock = threading.Lock()
        self.streams = set()
        self.listener = None
        self.open()

    def open(self):
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port))
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def shut(self):
        """Also for those that are inside."""
        listener, self.listener = self.listener, None
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        with self.lock:
            streams, self.streams = self.streams, set()
        for s in streams:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def close(self):
        if self.listener:
            self.shut()
        self.holder.close()

    def _accept(self, listener):
        while True:
            try:
                outer, _ = listener.accept()
            except OSError:
                return
            self.n += 1
            threading.Thread(target=self._carry, args=(outer,), daemon=True).start()

    def _carry(self, outer):
        with outer, socket.create_connection(self.to) as inner:
            other = {outer: inner, inner: outer}
            for s in other:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.streams |= set(other)
            try:
                while True:
                    for s in select.select(list(other), [], [])[0]:
                        data = s.recv(65536)
                        if not data:
                            return
                        other[s].sendall(data)
            except (OSError, ValueError):
                pass
            finally:
                with self.lock:
                    self.streams -= set(other)
