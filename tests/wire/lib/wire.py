"""The wire behind godwitd: a veth pair in the tests' own network namespace, and raw frames on its far end."""

import random
import select
import socket
import struct
import subprocess
import time

ETH_P_ALL = 0x0003
ETHERTYPE = 0x88B5  # IEEE 802, local experimental: nothing else in the namespace speaks it
ETH_P_RARP = 0x8035
SOL_PACKET = 263
PACKET_AUXDATA = 8
SO_RCVBUFFORCE = 33
PACKET_IGNORE_OUTGOING = 23
TP_STATUS_VLAN_VALID = 1 << 4

GUEST_MAC = bytes.fromhex("525400aabb01")
PEER_MAC = bytes.fromhex("525400aabb02")
MTU = 9000
CANARY = b"\xa5"


def veth(near, far):
    """Make a veth pair @p near (godwitd's) and @p far (the tests'), both up."""
    for cmd in (
        ["ip", "link", "add", near, "mtu", str(MTU), "type", "veth", "peer", "name", far, "mtu", str(MTU)],
        ["ip", "link", "set", near, "up"],
        ["ip", "link", "set", far, "up"],
    ):
        subprocess.run(cmd, check=True)


def frame(number, length=60, to_guest=True, ethertype=ETHERTYPE):
    """
    Frame @p number of @p length bytes (at least 14), whose every byte follows from the two.
    From 18 bytes on the number is in it. The canary is in none of the filling, so that every
    byte of it shows when it is written over one.
    """
    dst, src = (GUEST_MAC, PEER_MAC) if to_guest else (PEER_MAC, GUEST_MAC)
    filling = random.Random(number * 65537 + length).randbytes(max(length - 18, 0)).replace(CANARY, b"\x5a")
    return (dst + src + struct.pack(">HI", ethertype, number) + filling)[:length]


def number_of(data):
    return struct.unpack_from(">I", data, 14)[0]


class Wire:
    """A raw socket on @p interface. Frames other than ours (and RARP) are not seen."""

    def __init__(self, interface):
        self.interface = interface
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        self.sock.bind((interface, ETH_P_ALL))
        self.sock.setblocking(False)

    def close(self):
        self.sock.close()

    def inject(self, *frames):
        """Send frames towards godwitd."""
        for data in frames:
            while True:
                try:
                    self.sock.send(data)
                    break
                except BlockingIOError:
                    select.select([], [self.sock], [], 1)

    def _recv(self):
        data, anc, _, _ = self.sock.recvmsg(65536, 256)
        for level, kind, body in anc:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", body[:20])
                if status & TP_STATUS_VLAN_VALID:
                    data = data[:12] + struct.pack(">HH", tpid or 0x8100, tci) + data[12:]
        return data

    def poll(self, ethertypes=(ETHERTYPE, 0x8100)):
        """Return what came since the last call."""
        got = []
        while True:
            try:
                data = self._recv()
            except BlockingIOError:
                return got
            if len(data) < 14 or struct.unpack_from(">H", data, 12)[0] in ethertypes:
                got.append(data)

    def receive(self, want, timeout=5.0, **how):
        """Wait until @p want frames came from godwitd. Fails on time-out."""
        got = []
        deadline = time.monotonic() + timeout
        while len(got) < want:
            got += self.poll(**how)
            left = deadline - time.monotonic()
            assert left > 0, f"{len(got)} of {want} frames came out"
            if len(got) < want:
                select.select([self.sock], [], [], min(left, 0.05))
        return got
