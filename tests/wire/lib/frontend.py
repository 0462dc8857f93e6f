"""A front-end and its guest driver in one: QEMU's message sequences, two rings, frames in and out."""

import os
import struct
import time

from . import messages as m
from .memory import GuestMemory
from .virtqueue import SplitQueue

RX, TX = 0, 1

FEATURES = m.F_VERSION_1 | m.NET_F_MRG_RXBUF | m.F_INDIRECT | m.F_EVENT_IDX | m.F_PROTOCOL_FEATURES
# What a front-end that knows little negotiates, and all that is offered.
PROTOCOL = m.PF_MQ | m.PF_LOG_SHMFD | m.PF_RARP | m.PF_REPLY_ACK
OFFERED = (
    PROTOCOL | m.PF_MTU | m.PF_INFLIGHT_SHMFD | m.PF_RESET_DEVICE | m.PF_CONFIGURE_MEM_SLOTS | m.PF_STATUS
)

HDR = struct.Struct("<BBHHHHH")


class FrontEnd:
    """
    One connection with its guest. Everything it made (memory, eventfds, socket) is closed
    by close(). @p reply_ack decides whether REPLY_ACK is negotiated; with it, the messages
    QEMU marks NEED_REPLY are acknowledged, without it GET_FEATURES takes their place.
    """

    def __init__(self, path, features=FEATURES, protocol=PROTOCOL, size=256, memory=None, base=(0, 0), sock=None):
        self.memory = memory or GuestMemory()
        self.features, self.protocol, self.size = features, protocol, size
        self.event_idx = bool(features & m.F_EVENT_IDX)
        self.mergeable = bool(features & m.NET_F_MRG_RXBUF)
        self.header_len = 12 if features & (m.F_VERSION_1 | m.NET_F_MRG_RXBUF) else 10
        self.queues = [SplitQueue(self.memory, size, self.event_idx, b) for b in base]
        self.rx, self.tx = self.queues
        self.kick = [m.eventfd(), m.eventfd()]
        self.call = [m.eventfd(), m.eventfd()]
        self.err = [m.eventfd(), m.eventfd()]
        self.log = None
        self.log_addr = [q.used for q in self.queues]
        self.conn = m.Connection(path, sock)
        self.shared = []
        self._partial = []
        self._tx_slots = []

    def close(self):
        self.conn.close()
        for fd in self.kick + self.call + self.err:
            os.close(fd)
        self.memory.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # --- the sequences QEMU sends --------------------------------------------------------

    @property
    def reply_ack(self):
        return bool(self.protocol & m.PF_REPLY_ACK)

    def sync(self, request, payload=b"", fds=()):
        """Send, and wait as QEMU does: for the acknowledgement, or for GET_FEATURES behind the message."""
        if self.reply_ack:
            status = self.conn.ask_u64(request, payload, fds, m.VERSION | m.NEED_REPLY)
            assert status == 0, f"request {request} was refused with {status}"
        else:
            self.conn.send(request, payload, fds)
            self.conn.settle()

    def hello(self):
        """What QEMU sends when the socket is there, before the guest's driver has done anything."""
        offered = self.conn.ask_u64(m.GET_FEATURES)
        if self.features & m.F_PROTOCOL_FEATURES:
            assert offered & m.F_PROTOCOL_FEATURES
            protocol = self.conn.ask_u64(m.GET_PROTOCOL_FEATURES)
            assert protocol & self.protocol == self.protocol, f"protocol features {protocol:#x}"
            self.conn.send(m.SET_PROTOCOL_FEATURES, m.U64.pack(self.protocol))
            if self.protocol & m.PF_MQ:
                assert self.conn.ask_u64(m.GET_QUEUE_NUM) >= 1
        self.conn.send(m.SET_OWNER)
        offered = self.conn.ask_u64(m.GET_FEATURES)
        assert offered & self.features == self.features, f"features {offered:#x}"
        for i in (RX, TX):
            self.set_fd(m.SET_VRING_CALL, i, self.call[i])
            self.set_fd(m.SET_VRING_ERR, i, self.err[i])

    def set_features(self, extra=0):
        payload = m.U64.pack(self.features | extra)
        if extra & m.F_LOG_ALL:
            self.sync(m.SET_FEATURES, payload)
        else:
            self.conn.send(m.SET_FEATURES, payload)

    def set_mem_table(self):
        if self.protocol & m.PF_CONFIGURE_MEM_SLOTS:
            # As QEMU: what is there is not sent again.
            for r in self.memory.regions:
                if r not in self.shared:
                    self.sync(m.ADD_MEM_REG, m.mem_reg(r.entry()), [r.fd])
                    self.shared.append(r)
            return
        payload, fds = m.mem_table(self.memory.table()), self.memory.fds()
        if self.reply_ack:
            self.sync(m.SET_MEM_TABLE, payload, fds)
        else:
            self.conn.send(m.SET_MEM_TABLE, payload, fds)

    def set_fd(self, request, i, fd):
        if fd is None:
            self.conn.send(request, m.U64.pack(i | m.NOFD))
        else:
            self.conn.send(request, m.U64.pack(i), [fd])

    def addr_payload(self, i, flags=0, desc=None, avail=None, used=None):
        q, uva = self.queues[i], self.memory.uva
        return m.ADDR.pack(
            i,
            flags,
            uva(q.desc) if desc is None else desc,
            uva(q.used) if used is None else used,
            uva(q.avail) if avail is None else avail,
            self.log_addr[i],
        )

    def set_addr(self, i, flags=0):
        if flags & m.VRING_F_LOG:
            self.sync(m.SET_VRING_ADDR, self.addr_payload(i, flags))
        else:
            self.conn.send(m.SET_VRING_ADDR, self.addr_payload(i, flags))

    def set_ring(self, i, base=None, flags=0):
        """NUM, BASE, ADDR, KICK: the ring starts with the last."""
        q = self.queues[i]
        self.conn.send(m.SET_VRING_NUM, m.STATE.pack(i, q.size))
        self.conn.send(m.SET_VRING_BASE, m.STATE.pack(i, q.used_idx if base is None else base))
        self.set_addr(i, flags)
        self.set_fd(m.SET_VRING_KICK, i, self.kick[i])
        self.set_fd(m.SET_VRING_CALL, i, self.call[i])

    def enable(self, on=1, rings=(RX, TX)):
        if self.features & m.F_PROTOCOL_FEATURES:
            for i in rings:
                self.sync(m.SET_VRING_ENABLE, m.STATE.pack(i, on))
        else:
            self.conn.settle()

    def run(self, extra=0, flags=0):
        """What QEMU sends when the guest's driver is ready (DRIVER_OK)."""
        self.set_features(extra)
        self.set_mem_table()
        for i in (RX, TX):
            self.set_ring(i, flags=flags)
        self.enable()

    def start(self):
        self.hello()
        self.run()
        return self

    def start_log(self, log, ring_flag=m.VRING_F_LOG):
        """Migration set-up on the source: SET_LOG_BASE, SET_FEATURES with LOG_ALL, SET_VRING_ADDR twice."""
        self.log = log
        self.conn.ask(m.SET_LOG_BASE, m.LOG.pack(log.size, log.offset), [log.fd])
        self.set_features(m.F_LOG_ALL)
        for i in (RX, TX):
            self.set_addr(i, ring_flag)

    def stop_log(self):
        self.set_features()
        for i in (RX, TX):
            self.set_addr(i)

    def get_base(self, i):
        index, num = m.STATE.unpack(self.conn.ask(m.GET_VRING_BASE, m.STATE.pack(i, 0)))
        assert index == i
        return num

    def stop(self):
        """The guest is stopped: GET_VRING_BASE on both rings. Returns their indices."""
        return [self.get_base(i) for i in (RX, TX)]

    # --- the guest's driver --------------------------------------------------------------

    def publish(self, i):
        if self.queues[i].publish():
            os.eventfd_write(self.kick[i], 1)

    def post(self, segments=None, indirect=None, length=2048):
        """Queue one receive chain: (gpa, length) @p segments, or one fresh buffer of @p length."""
        if segments is None:
            segments = [(self.memory.alloc(length, 64), length)]
        self.rx.add([(a, n, True) for a, n in segments], segments, indirect)

    def fill(self, count, length=2048):
        for _ in range(count):
            self.post(length=length)
        self.publish(RX)

    def gather(self, segments, length):
        """The first @p length bytes of a used receive chain."""
        data = b""
        for gpa, size in segments:
            piece = min(size, length - len(data))
            data += self.memory.read(gpa, piece) if piece else b""
        assert len(data) == length, f"used length {length} is more than the chain holds"
        return data

    def frames(self):
        """Return the frames received since the last call, as (header, frame, chains), checking num_buffers."""
        done = []
        self._partial += self.rx.take()
        while self._partial:
            head, length, segments = self._partial[0]
            assert length >= self.header_len, f"used length {length} holds no header"
            first = self.gather(segments, length)
            header = first[: self.header_len]
            count = struct.unpack_from("<H", header, 10)[0] if self.header_len == 12 else 1
            assert count >= 1, "num_buffers is 0"
            if not self.mergeable:
                assert count == 1, f"num_buffers {count} without MRG_RXBUF"
            if len(self._partial) < count:
                break
            chains, self._partial = self._partial[:count], self._partial[count:]
            data = first + b"".join(self.gather(s, n) for _, n, s in chains[1:])
            done.append((header, data[self.header_len :], chains))
        return done

    def receive(self, want, timeout=5.0, repost=False):
        """Poll until @p want frames came; returns (header, frame, chains) each. Fails on time-out."""
        got = []
        deadline = time.monotonic() + timeout
        while len(got) < want:
            more = self.frames()
            got += more
            if repost and more:
                for _, _, chains in more:
                    for _, _, segments in chains:
                        self.post(segments)
                self.publish(RX)
            assert time.monotonic() < deadline, f"{len(got)} of {want} frames came"
        return got

    def queue_tx(self, frame, header=None, split=None, indirect=None):
        """
        Queue one frame for sending. @p split: lengths of the descriptors (the last takes the
        rest). Buffers come from a recycled pool of 16 KiB ones.
        """
        data = (bytes(self.header_len) if header is None else header) + frame
        at = self._tx_slots.pop() if self._tx_slots else self.memory.alloc(16384, 64)
        self.memory.write(at, data)
        segments, done = [], 0
        for n in split or ():
            n = min(n, len(data) - done)
            if n:
                segments.append((at + done, n, False))
            done += n
        if done < len(data) or not segments:
            segments.append((at + done, len(data) - done, False))
        self.tx.add(segments, at, indirect)

    def reap_tx(self):
        """Take back sent buffers; returns the used chains."""
        taken = self.tx.take()
        for _, length, at in taken:
            assert length == 0, f"used length {length} on the transmit ring"
            if at is not None:
                self._tx_slots.append(at)
        return taken

    def send(self, *frames, **how):
        for frame in frames:
            self.queue_tx(frame, **how)
        self.publish(TX)

    def drain_tx(self, count, timeout=5.0):
        """Poll until @p count sent chains came back."""
        done = []
        deadline = time.monotonic() + timeout
        while len(done) < count:
            done += self.reap_tx()
            assert time.monotonic() < deadline, f"{len(done)} of {count} sent buffers came back"
        return done
