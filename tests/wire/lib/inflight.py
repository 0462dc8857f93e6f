"""The front-end's side of in-flight tracking: the record that it keeps over the back-end's death."""

import mmap
import os
import struct

from . import messages as m

QUEUE = struct.Struct("=QHHHH")
DESC = struct.Struct("=B5xHQ")


class Record:
    """The shared area that GET_INFLIGHT_FD brought. Owns its descriptor and mapping."""

    def __init__(self, fe, queues=2):
        body, self.fd = fe.conn.ask_fd(m.GET_INFLIGHT_FD, m.INFLIGHT.pack(0, 0, queues, fe.size))
        self.size, self.offset, self.queues, self.queue_size = m.INFLIGHT.unpack(body)
        assert (self.queues, self.queue_size) == (queues, fe.size)
        self.map = mmap.mmap(self.fd, self.size + self.offset)
        # Queues lie one after the other, all of one size.
        self.stride = self.size // queues

    def close(self):
        self.map.close()
        os.close(self.fd)

    def payload(self, **wrong):
        fields = {"size": self.size, "offset": self.offset, "queues": self.queues, "queue_size": self.queue_size}
        fields.update(wrong)
        return m.INFLIGHT.pack(*fields.values())

    def hand_back(self, fe):
        fe.sync(m.SET_INFLIGHT_FD, self.payload(), [self.fd])

    def head(self, i):
        """(features, version, desc_num, last_batch_head, used_idx) of virtqueue @p i."""
        return QUEUE.unpack_from(self.map, self.offset + i * self.stride)

    def in_flight(self, i):
        """Heads in flight in virtqueue @p i, in the order in which they were taken."""
        at = self.offset + i * self.stride + QUEUE.size
        found = [(DESC.unpack_from(self.map, at + DESC.size * k), k) for k in range(self.queue_size)]
        return [k for (flag, _, counter), k in sorted(found, key=lambda f: f[0][2]) if flag]
