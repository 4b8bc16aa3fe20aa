# SPDX-License-Identifier: Apache-2.0
"""The smallest DNS server that a proof can be seen at: TXT records from files FOLDER/NAME (one value in each), nothing else exists.

Runs inside the box: dns.py FOLDER
"""

import pathlib
import socket
import struct
import sys


def name_of(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), at + 5


def answer(folder, packet):
    name, end = name_of(packet, 12)
    (kind,) = struct.unpack("!H", packet[end - 4 : end - 2])
    path = folder / name
    found = kind == 16 and path.is_file()
    value = path.read_bytes().strip() if found else b""
    header = packet[:2] + struct.pack("!HHHHH", 0x8580, 1, int(found), 0, 0)
    record = struct.pack("!HHHIHB", 0xC00C, 16, 1, 1, len(value) + 1, len(value)) + value
    return header + packet[12:end] + (record if found else b"")


def main():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 53))
    while True:
        packet, peer = sock.recvfrom(4096)
        sock.sendto(answer(pathlib.Path(sys.argv[1]), packet), peer)


if __name__ == "__main__":
    main()
