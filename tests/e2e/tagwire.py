"""A VLAN's access port in user space: tags what the peer sends, and hands it only what carries the tag. No 8021q driver needed."""

import contextlib
import select
import socket
import struct
import threading

from place import run

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SOL_PACKET, PACKET_AUXDATA = 263, 8
# struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid; the kernel takes the tag out of the frame.
AUXDATA = struct.Struct("=IIIHHHH")
VLAN_VALID = 1 << 4
TPID = b"\x81\x00"


class TagWire:
    """Carries frames between interface @p trunk, where they have the tag of VLAN @p vlan, and @p access, where not."""

    def __init__(self, trunk, access, vlan):
        self.tag = TPID + struct.pack("!H", vlan)
        self.trunk, self.access = self._open(trunk), self._open(access)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    @staticmethod
    def _open(iface):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        end.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        end.bind((iface, 0))
        return end

    @staticmethod
    def _receive(end):
        """The next frame as it was on the wire; None for one that this side sent."""
        frame, extra, _, address = end.recvmsg(2048, socket.CMSG_SPACE(AUXDATA.size))
        if address[2] == PACKET_OUTGOING:
            return None
        for _, _, data in extra:
            status, _, _, _, _, tci, _ = AUXDATA.unpack(data)
            if status & VLAN_VALID:
                return frame[:12] + TPID + struct.pack("!H", tci) + frame[12:]
        return frame

    def _carry(self):
        while not self.stopping.is_set():
            for end in select.select([self.trunk, self.access], [], [], 0.1)[0]:
                frame = self._receive(end)
                if frame and end is self.access:
                    self.trunk.send(frame[:12] + self.tag + frame[12:])
                elif frame and frame[12:16] == self.tag:
                    self.access.send(frame[:12] + frame[16:])

    def close(self):
        """Stop carrying. Idempotent."""
        self.stopping.set()
        self.thread.join()
        self.trunk.close()
        self.access.close()


@contextlib.contextmanager
def vlan_at_peer(place, vlan, mac, ip):
    """An interface at the peer of Place @p place that is in VLAN @p vlan of the wire, with an address. Yields its name."""
    run("ip", "link", "add", "trunk", "type", "veth", "peer", "name", "to-trunk")
    run("ip", "link", "add", "access", "type", "veth", "peer", "name", "in-vlan", "netns", place.peer.anchor.pid,
        "address", mac)
    try:
        run("ip", "link", "set", "to-trunk", "master", "switch")
        for iface in ("trunk", "to-trunk", "access"):
            place.plain(iface)
        place.peer.run("ethtool", "-K", "in-vlan", "tx", "off", "gso", "off", "tso", "off")
        place.peer.run("ip", "addr", "add", ip, "dev", "in-vlan")
        place.peer.run("ip", "link", "set", "in-vlan", "up")
        with contextlib.closing(TagWire("trunk", "access", vlan)):
            yield "in-vlan"
    finally:
        for iface in ("trunk", "access"):
            run("ip", "link", "del", iface)
