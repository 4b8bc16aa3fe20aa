# SPDX-License-Identifier: Apache-2.0
"""A name server with nothing but the TXT records of a folder, and the program that a dns_provider of type exec calls to put them there.
UDP and TCP on one port of 127.0.0.1; a record is an empty file FOLDER/NAME/VALUE."""

import os
import pathlib
import socketserver
import struct
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from lib import dnsmsg  # noqa: E402

UDP_MAX = 512
TTL = 60

PROGRAM = """#!/bin/sh
case $1 in
present) mkdir -p "{folder}/$2" && : >"{folder}/$2/$3" ;;
cleanup) rm -f "{folder}/$2/$3" ;;
*) exit 64 ;;
esac
"""


def answer(folder, wire, most):
    """The answer to one question, cut to its head when it is longer than `most`."""
    ident, _, questions = struct.unpack_from(">3H", wire)
    name, at = dnsmsg.read_name(wire, 12)
    kind, _ = struct.unpack_from(">2H", wire, at)
    try:
        values = sorted(os.listdir(folder / (name.lower() + "."))) if kind == dnsmsg.TYPES["TXT"] else []
    except FileNotFoundError:
        values = []
    records = b""
    for value in values:
        data = dnsmsg.data_bytes("TXT", value)
        records += b"\xc0\x0c" + struct.pack(">HHIH", kind, dnsmsg.IN, TTL, len(data)) + data
    question = wire[12 : at + 4]
    whole = struct.pack(">6H", ident, 0x8400, questions, len(values), 0, 0) + question + records
    return whole if len(whole) <= most else struct.pack(">6H", ident, 0x8600, questions, 0, 0, 0) + question


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        message, sock = self.request
        sock.sendto(answer(self.server.folder, message, UDP_MAX), self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        head = self.rfile.read(2)
        while len(head) == 2:
            reply = answer(self.server.folder, self.rfile.read(struct.unpack(">H", head)[0]), 65535)
            self.wfile.write(struct.pack(">H", len(reply)) + reply)
            head = self.rfile.read(2)


class DnsDouble:
    def __init__(self, folder, port):
        self.folder = pathlib.Path(folder)
        (self.folder / "zone").mkdir(parents=True)
        self.program = self.folder / "update"
        self.program.write_text(PROGRAM.format(folder=self.folder / "zone"))
        self.program.chmod(0o755)
        self.address = f"127.0.0.1:{port}"
        self.servers = [socketserver.UDPServer(("127.0.0.1", port), Udp, bind_and_activate=False)]
        self.servers.append(socketserver.ThreadingTCPServer(("127.0.0.1", port), Tcp, bind_and_activate=False))
        for server in self.servers:
            server.allow_reuse_address = server.daemon_threads = True
            server.folder = self.folder / "zone"
            server.server_bind()
            server.server_activate()
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
