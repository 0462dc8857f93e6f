"""A wire between two interfaces that spoils chosen numbered frames, to prove that the stations notice."""

import select
import socket
import struct
import threading

ETH_P_ALL = 3
PACKET_OUTGOING = 4
NUMBERED = struct.pack("!H", 0x88B5)
SEQ_AT = 26  # frame.h: two MACs, EtherType, magic, check, run


class BadWire:
    """
    Carries frames between interfaces @p left and @p right in a thread of its own.
    @param faults  {("left" or "right": where it came in, number): "lose", "repeat", "delay" or "spoil"}
    """

    def __init__(self, left, right, faults):
        self.faults = dict(faults)
        self.ends = {"left": self._open(left), "right": self._open(right)}
        self.late = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    @staticmethod
    def _open(iface):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        end.bind((iface, 0))
        return end

    def _carry(self):
        names = {end: name for name, end in self.ends.items()}
        while not self.stopping.is_set():
            for end in select.select(list(names), [], [], 0.1)[0]:
                frame, address = end.recvfrom(2048)
                if address[2] != PACKET_OUTGOING:
                    self._pass(names[end], frame)

    def _pass(self, came_in, frame):
        out = self.ends["right" if came_in == "left" else "left"]
        fault = None
        if frame[12:14] == NUMBERED:
            fault = self.faults.pop((came_in, struct.unpack_from("<I", frame, SEQ_AT)[0]), None)
        if fault == "delay":
            self.late.append((out, frame))
            return
        if fault == "spoil":
            frame = frame[:40] + bytes([frame[40] ^ 1]) + frame[41:]
        if fault != "lose":
            out.send(frame)
        if fault == "repeat":
            out.send(frame)
        # A delayed frame follows the next numbered one that goes the same way.
        for item in [item for item in self.late if item[0] is out and frame[12:14] == NUMBERED]:
            self.late.remove(item)
            out.send(item[1])

    def close(self):
        """Stop carrying. Idempotent."""
        self.stopping.set()
        self.thread.join()
        for end in self.ends.values():
            end.close()
