"""
TCP and UDP over IPv4 and IPv6 with VLAN tags: frames as a guest hands them over unfinished, and a strict receiver.

Written from RFC 768, 791, 1071, 8200, 9293 and IEEE 802.1Q. It shares nothing with what it judges.
"""

import dataclasses
import struct

from .frontend import HDR
from .wire import GUEST_MAC, PEER_MAC

NEEDS_CSUM = 1
DATA_VALID = 2
GSO_TCPV4 = 1
GSO_TCPV6 = 4
GSO_ECN = 0x80

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << k for k in range(8))
TCP, UDP, ICMP6 = 6, 17, 58
V4 = (bytes([10, 0, 0, 1]), bytes([192, 168, 255, 254]))
V6 = (bytes.fromhex("fd00" + "00" * 13 + "01"), bytes.fromhex("fd00ffff" + "ab" * 12))
TAGS = {0: b"", 1: struct.pack(">HH", 0x8100, 42), 2: struct.pack(">HHHH", 0x88A8, 7, 0x8100, 0x2000 | 42)}


def total(data, start=0):
    """Ones' complement sum of big-endian words."""
    if len(data) % 2:
        data += b"\0"
    value = start + sum(struct.unpack(f">{len(data) // 2}H", data))
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return value


def pseudo(addresses, protocol, length):
    return total(addresses[0] + addresses[1] + struct.pack(">II", length, protocol))


@dataclasses.dataclass
class Flow:
    """How the frames of a connection look. @p options: bytes of IPv4 options, or of IPv6 extension headers."""

    v6: bool = False
    tags: int = 0
    options: int = 0
    tcp_options: int = 0
    seq: int = 0xFFFFF000
    flags: int = ACK | PSH | FIN | CWR
    ident: int = 0xFFF0

    @property
    def addresses(self):
        return V6 if self.v6 else V4

    def ip(self, protocol, length):
        """IP's header with options, for @p length bytes behind it."""
        src, dst = self.addresses
        if not self.v6:
            head = 0x40 | (20 + self.options) // 4
            fields = struct.pack(">BBHHHBBH", head, 2, 20 + self.options + length, self.ident, 0x4000, 64, protocol, 0)
            header = fields + src + dst + b"\1" * self.options
            return header[:10] + struct.pack(">H", 0xFFFF ^ total(header)) + header[12:]
        extension = b""
        if self.options:
            # Half of it (or all) as destination options; a hop-by-hop header in front when there is room.
            first = 8 if self.options > 8 else 0
            rest = self.options - first
            extension = struct.pack(">BBBB", protocol, rest // 8 - 1, 1, rest - 4) + bytes(rest - 4)
            if first:
                extension = struct.pack(">BBBB", 60, 0, 1, 4) + bytes(4) + extension
        following = protocol if not self.options else (0 if self.options > 8 else 60)
        return struct.pack(">IHBB", 0x60212345, self.options + length, following, 64) + src + dst + extension

    def link(self):
        return PEER_MAC + GUEST_MAC + TAGS[self.tags] + struct.pack(">H", 0x86DD if self.v6 else 0x0800)

    def start(self):
        """Where TCP or UDP begins."""
        return 14 + 4 * self.tags + (40 if self.v6 else 20) + self.options

    def tcp(self, payload):
        """A frame with the pseudo-header's sum where the checksum belongs."""
        words = struct.pack(">HHIIHHHH", 8080, 49153, self.seq, 1, ((20 + self.tcp_options) << 10) | self.flags, 29200, 0, 0)
        segment = words + b"\1" * self.tcp_options + payload
        segment = segment[:16] + struct.pack(">H", pseudo(self.addresses, TCP, len(segment))) + segment[18:]
        return self.link() + self.ip(TCP, len(segment)) + segment

    def udp(self, payload):
        length = 8 + len(payload)
        datagram = struct.pack(">HHHH", 5353, 5353, length, pseudo(self.addresses, UDP, length)) + payload
        return self.link() + self.ip(UDP, length) + datagram

    def want_cut(self, size, **other):
        """The virtio-net header that asks for segments of @p size."""
        fields = {"flags": NEEDS_CSUM, "type": GSO_TCPV6 if self.v6 else GSO_TCPV4, "hdr_len": self.start() + 20,
                  "gso_size": size, "start": self.start(), "offset": 16} | other
        return HDR.pack(*(fields[k] for k in ("flags", "type", "hdr_len", "gso_size", "start", "offset")), 0)

    def want_checksum(self, offset, **other):
        return self.want_cut(0, type=0, offset=offset, **other)


class Received:
    """One frame from the wire, taken apart; every length and checksum in it must be right."""

    def __init__(self, frame):
        self.frame = frame
        self.tags, at = [], 12
        while struct.unpack_from(">H", frame, at)[0] in (0x8100, 0x88A8):
            self.tags.append(frame[at : at + 4])
            at += 4
        kind = struct.unpack_from(">H", frame, at)[0]
        self.link, rest = frame[: at + 2], frame[at + 2 :]
        assert kind in (0x0800, 0x86DD), f"type {kind:#x}"
        self.v6 = kind == 0x86DD
        if self.v6:
            self._ipv6(rest)
        else:
            self._ipv4(rest)
        if self.protocol in (TCP, UDP, ICMP6):
            assert total(self.segment, pseudo(self.addresses, self.protocol, len(self.segment))) == 0xFFFF, "checksum"
        if self.protocol == TCP:
            self._tcp()
        elif self.protocol == UDP:
            self._udp()

    def _ipv4(self, rest):
        head, self.tos, length, self.ident, fragment, self.ttl, self.protocol = struct.unpack_from(">BBHHHBB", rest)
        assert head >> 4 == 4 and fragment & 0x3FFF == 0
        size = (head & 15) * 4
        assert size >= 20 and total(rest[:size]) == 0xFFFF, "IPv4 header checksum"
        self._length(rest, length)
        self.fixed = (self.tos, fragment, self.ttl)
        self.options = rest[20:size]
        self.addresses = (rest[12:16], rest[16:20])
        self.segment = rest[size:length]

    def _ipv6(self, rest):
        first, length, self.protocol, hops = struct.unpack_from(">IHBB", rest)
        assert first >> 28 == 6
        self._length(rest, 40 + length)
        self.addresses = (rest[8:24], rest[24:40])
        self.fixed, at = (first, hops), 40
        while self.protocol in (0, 60):
            self.protocol, at = rest[at], at + 8 * (rest[at + 1] + 1)
        self.options = rest[40:at]
        self.segment = rest[at : 40 + length]

    def _length(self, rest, length):
        """IP's length is the frame's, but for the padding of the shortest."""
        assert len(rest) >= length, "IP says more than the frame holds"
        assert len(rest) == length or (len(self.frame) == 60 and not any(rest[length:])), "bytes behind the datagram"

    def _tcp(self):
        self.ports = self.segment[:4]
        self.seq, self.ack, bits, self.window, _, self.urgent = struct.unpack_from(">IIHHHH", self.segment, 4)
        size = (bits >> 12) * 4
        assert size >= 20 and not bits & 0x0F00
        self.flags = bits & 0xFF
        self.tcp_options = self.segment[20:size]
        self.payload = self.segment[size:]

    def _udp(self):
        assert struct.unpack_from(">H", self.segment, 4)[0] == len(self.segment)
        assert self.segment[6:8] != b"\0\0", "no checksum"
        self.payload = self.segment[8:]


def reassemble(flow, frames, payload, size):
    """
    The @p frames are what a correct network card makes of flow.tcp(@p payload) with segments of @p size: every byte once,
    in order, every header field as RFC 9293 and the original frame want it.
    """
    at = 0
    count = max(-(-len(payload) // size), 1)
    assert len(frames) == count, f"{len(frames)} frames, {count} are right"
    for number, frame in enumerate(frames):
        got = Received(frame)
        first, last = number == 0, number == count - 1
        piece = payload[at : at + size]
        assert got.payload == piece, f"segment {number}: payload"
        assert got.link == flow.link() and got.v6 == flow.v6
        assert got.addresses == flow.addresses
        assert got.options == flow.ip(TCP, 0)[(40 if flow.v6 else 20) :]
        assert got.fixed == ((0x60212345, 64) if flow.v6 else (2, 0x4000, 64))
        if not flow.v6:
            assert got.ident == (flow.ident + number) & 0xFFFF, f"segment {number}: ident {got.ident}"
        assert got.ports == struct.pack(">HH", 8080, 49153)
        assert got.seq == (flow.seq + at) & 0xFFFFFFFF, f"segment {number}: sequence number {got.seq:#x}"
        assert (got.ack, got.window, got.urgent) == (1, 29200, 0)
        assert got.tcp_options == b"\1" * flow.tcp_options
        flags = flow.flags
        if not last:
            flags &= ~(FIN | PSH)
        if not first:
            flags &= ~CWR
        assert got.flags == flags, f"segment {number}: flags {got.flags:#x}, {flags:#x} are right"
        at += len(piece)
    assert at == len(payload)
