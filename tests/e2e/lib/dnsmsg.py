# SPDX-License-Identifier: Apache-2.0
"""Questions to one name server, and signed updates (RFC 1035, 2136, 8945), by hand: no DNS library is needed for that."""

import base64
import collections
import hashlib
import hmac
import ipaddress
import os
import socket
import struct
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "TXT": 16, "AAAA": 28, "CAA": 257}
NAMES = {number: name for name, number in TYPES.items()}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 9: "NOTAUTH", 10: "NOTZONE"}
IN, NONE, ANY = 1, 254, 255
TSIG, AXFR = 250, 252
FUDGE = 300

Record = collections.namedtuple("Record", "name type ttl data")


class Answer:
    """rcode as a word; data of records: text, for SOA its serial."""

    def __init__(self, wire):
        _, flags, questions, answers, authority, _ = struct.unpack_from(">6H", wire)
        self.rcode = RCODES.get(flags & 15, str(flags & 15))
        self.authoritative = bool(flags & 0x400)
        self.truncated = bool(flags & 0x200)
        at = 12
        for _ in range(questions):
            at = read_name(wire, at)[1] + 4
        self.records, at = read_records(wire, at, answers)
        self.authority, at = read_records(wire, at, authority)

    def values(self, type_name):
        return sorted(r.data for r in self.records if r.type == type_name)

    def __repr__(self):
        return f"{self.rcode} {self.records} {self.authority}"


def name_bytes(name):
    labels = [part.encode() for part in name.rstrip(".").split(".") if part]
    return b"".join(bytes([len(part)]) + part for part in labels) + b"\0"


def read_name(wire, at):
    """(text, where it ends)."""
    labels, end = [], None
    while wire[at]:
        if wire[at] >= 0xC0:
            end = end or at + 2
            at = struct.unpack_from(">H", wire, at)[0] & 0x3FFF
        else:
            labels.append(wire[at + 1 : at + 1 + wire[at]].decode())
            at += 1 + wire[at]
    return ".".join(labels), end or at + 1


def read_data(wire, at, length, type_name):
    if type_name in ("A", "AAAA"):
        return str(ipaddress.ip_address(wire[at : at + length]))
    if type_name in ("NS", "CNAME"):
        return read_name(wire, at)[0]
    if type_name == "SOA":
        return struct.unpack_from(">I", wire, read_name(wire, read_name(wire, at)[1])[1])[0]
    if type_name == "TXT":
        text, end = b"", at + length
        while at < end:
            text += wire[at + 1 : at + 1 + wire[at]]
            at += 1 + wire[at]
        return text.decode()
    return wire[at : at + length]


def read_records(wire, at, n):
    records = []
    for _ in range(n):
        name, at = read_name(wire, at)
        number, _, ttl, length = struct.unpack_from(">HHIH", wire, at)
        kind = NAMES.get(number, str(number))
        records.append(Record(name, kind, ttl, read_data(wire, at + 10, length, kind)))
        at += 10 + length
    return records, at


def data_bytes(type_name, data):
    if type_name in ("A", "AAAA"):
        return ipaddress.ip_address(data).packed
    if type_name == "TXT":
        text = data.encode()
        return b"".join(bytes([len(text[i : i + 255])]) + text[i : i + 255] for i in range(0, len(text), 255))
    if type_name == "CAA":
        flags, tag, value = data.split(" ", 2)
        return bytes([int(flags), len(tag)]) + tag.encode() + value.encode()
    return name_bytes(data)


def exchange(server, message, timeout=3.0, port=53):
    """One message over TCP; OSError when there is no answer."""
    with socket.create_connection((server, port), timeout) as s:
        s.sendall(struct.pack(">H", len(message)) + message)
        wire = b""
        while len(wire) < 2 or len(wire) < 2 + struct.unpack_from(">H", wire)[0]:
            chunk = s.recv(65536)
            if not chunk:
                raise ConnectionError(f"{server} closed the connection")
            wire += chunk
    if wire[2:4] != message[:2]:
        raise ConnectionError(f"{server} answered something else")
    return Answer(wire[2:])


def query(server, name, type_name="TXT", recurse=False, **more):
    head = os.urandom(2) + struct.pack(">5H", 0x100 if recurse else 0, 1, 0, 0, 0)
    return exchange(server, head + name_bytes(name) + struct.pack(">2H", TYPES[type_name], IN), **more)


def sign(message, key_name, secret):
    """TSIG with HMAC-SHA256. The answer's signature is not looked at."""
    algorithm = name_bytes("hmac-sha256")
    when = struct.pack(">HIH", 0, int(time.time()), FUDGE)
    owner = name_bytes(key_name)
    variables = owner + struct.pack(">HI", ANY, 0) + algorithm + when + b"\0\0\0\0"
    mac = hmac.new(base64.b64decode(secret), message + variables, hashlib.sha256).digest()
    data = algorithm + when + struct.pack(">H", len(mac)) + mac + message[:2] + b"\0\0\0\0"
    record = owner + struct.pack(">HHIH", TSIG, ANY, 0, len(data)) + data
    return message[:10] + b"\0\1" + message[12:] + record


def update(server, zone, key, *changes, **more):
    """key: (name, secret). A change: (name, type, data, ttl) adds, (name, type, data) removes one record, (name, type) all."""
    body = b""
    for name, type_name, *rest in changes:
        data = data_bytes(type_name, rest[0]) if rest else b""
        class_, ttl = (IN, rest[1]) if len(rest) == 2 else (NONE if rest else ANY, 0)
        body += name_bytes(name) + struct.pack(">HHIH", TYPES[type_name], class_, ttl, len(data)) + data
    head = os.urandom(2) + struct.pack(">5H", 5 << 11, 1, 0, len(changes), 0)
    message = head + name_bytes(zone) + struct.pack(">2H", TYPES["SOA"], IN) + body
    return exchange(server, sign(message, *key), **more)


def transfer(server, zone, timeout=3.0, port=53):
    """All records of a zone but its SOA, by AXFR: a sorted list of (name, type, data)."""
    message = os.urandom(2) + struct.pack(">5H", 0, 1, 0, 0, 0) + name_bytes(zone) + struct.pack(">2H", AXFR, IN)
    records, ends, wire = [], 0, b""
    with socket.create_connection((server, port), timeout) as s:
        s.sendall(struct.pack(">H", len(message)) + message)
        while ends < 2:
            chunk = s.recv(65536)
            if not chunk:
                raise ConnectionError(f"{server} closed the connection")
            wire += chunk
            while len(wire) >= 2 and len(wire) >= 2 + struct.unpack_from(">H", wire)[0]:
                length = struct.unpack_from(">H", wire)[0]
                answer, wire = Answer(wire[2 : 2 + length]), wire[2 + length :]
                if answer.rcode != "NOERROR":
                    raise ConnectionError(f"{server} refuses the transfer of {zone}: {answer.rcode}")
                records += answer.records
                ends += len(answer.values("SOA"))
    return sorted((r.name, r.type, r.data) for r in records if r.type != "SOA")
