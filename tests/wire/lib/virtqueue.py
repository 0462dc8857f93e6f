"""The driver's side of a split virtqueue, polite by default, and able to break every rule by hand."""

import struct
import threading

DESC = struct.Struct("<QIHH")
USED = struct.Struct("<II")

F_NEXT = 1
F_WRITE = 2
F_INDIRECT = 4

AVAIL_NO_INTERRUPT = 1
USED_NO_NOTIFY = 1

_fence = threading.Lock()


def barrier():
    """A full memory barrier: taking a lock is an atomic read-modify-write."""
    with _fence:
        pass


def need_event(event, new, old):
    """Virtio 1.2, 2.7.10: did an index going from @p old to @p new pass @p event?"""
    return ((new - event - 1) & 0xFFFF) < ((new - old) & 0xFFFF)


class SplitQueue:
    """
    One split virtqueue in guest memory. The three parts lie on pages of their own unless
    @p layout = (desc, avail, used) says where.
    """

    def __init__(self, memory, size=256, event_idx=False, base=0, layout=None, region=-1):
        self.memory, self.size, self.event_idx = memory, size, event_idx
        if layout is None:
            # Room for one descriptor too many: tests plant a good one past the table's end.
            layout = (
                memory.alloc(16 * (size + 1), region=region),
                memory.alloc(6 + 2 * size, region=region),
                memory.alloc(6 + 8 * size, region=region),
            )
        self.desc, self.avail, self.used = layout
        self.used_event_at = self.avail + 4 + 2 * size
        self.avail_event_at = self.used + 4 + 8 * size
        self.reset(base)

    def reset(self, base=0):
        """As a driver that loads: an empty ring whose indices start at @p base."""
        self.avail_idx = self.published = self.used_idx = base & 0xFFFF
        self.free = list(range(self.size - 1, -1, -1))
        self.chains = {}
        self.memory.write(self.avail, struct.pack("<HH", 0, self.avail_idx) + bytes(2 * self.size + 2))
        self.memory.write(self.used, struct.pack("<HH", 0, self.used_idx) + bytes(8 * self.size + 2))

    # --- making buffers available --------------------------------------------------------

    def set_desc(self, i, gpa, length, flags=0, nxt=0, table=None):
        """Write descriptor @p i of the ring's table, or of the one at guest address @p table."""
        at = (self.desc if table is None else table) + 16 * i
        self.memory.write(at, DESC.pack(gpa, length, flags, nxt))

    def put_head(self, head):
        """Write @p head into the next entry of the available ring, unpublished."""
        self.memory.write16(self.avail + 4 + 2 * (self.avail_idx % self.size), head)
        self.avail_idx = (self.avail_idx + 1) & 0xFFFF

    def add(self, segments, token=None, indirect=None):
        """
        Queue one chain of (gpa, length, device_writes) @p segments, unpublished; as one
        indirect descriptor when @p indirect is the guest address of a table for it.
        Returns its head.
        """
        if indirect is not None:
            self._write_chain(range(len(segments)), segments, indirect)
            own = [self.free.pop()]
            self.set_desc(own[0], indirect, 16 * len(segments), F_INDIRECT)
        else:
            own = [self.free.pop() for _ in segments]
            self._write_chain(own, segments, None)
        self.chains[own[0]] = (own, token)
        self.put_head(own[0])
        return own[0]

    def _write_chain(self, slots, segments, table):
        slots = list(slots)
        for k, (gpa, length, writes) in enumerate(segments):
            flags = F_WRITE if writes else 0
            nxt = 0
            if k + 1 < len(segments):
                flags |= F_NEXT
                nxt = slots[k + 1]
            self.set_desc(slots[k], gpa, length, flags, nxt, table)

    def publish(self):
        """Show everything queued to the device. Returns True when it asked for a kick."""
        old, self.published = self.published, self.avail_idx
        barrier()
        self.memory.write16(self.avail + 2, self.avail_idx)
        barrier()
        if self.event_idx:
            return need_event(self.memory.read16(self.avail_event_at), self.avail_idx, old)
        return not self.memory.read16(self.used) & USED_NO_NOTIFY

    def room(self):
        return len(self.free)

    # --- taking used ones ----------------------------------------------------------------

    def device_idx(self):
        return self.memory.read16(self.used + 2)

    def take(self, limit=None):
        """Return the used chains not yet taken, as (head, length, token), in the ring's order."""
        idx = self.device_idx()
        barrier()
        taken = []
        while self.used_idx != idx and (limit is None or len(taken) < limit):
            head, length = USED.unpack(self.memory.read(self.used + 4 + 8 * (self.used_idx % self.size), 8))
            assert head in self.chains, f"used element {self.used_idx} names head {head}, which is not out"
            own, token = self.chains.pop(head)
            self.free.extend(own)
            taken.append((head, length, token))
            self.used_idx = (self.used_idx + 1) & 0xFFFF
        return taken

    # --- interrupts ----------------------------------------------------------------------

    def want_call(self, after=0):
        """Ask for a call once @p after + 1 more chains than taken so far are used."""
        if self.event_idx:
            self.memory.write16(self.used_event_at, self.used_idx + after)
        else:
            self.memory.write16(self.avail, 0)
        barrier()

    def refuse_call(self):
        """Ask for no call: with event indices, none within the next half lap of the index."""
        if self.event_idx:
            self.memory.write16(self.used_event_at, self.used_idx + 0x8000)
        else:
            self.memory.write16(self.avail, AVAIL_NO_INTERRUPT)
        barrier()

    def used_pages_written(self, first, count):
        """
        Byte ranges, as offsets from the used ring's start, that publishing @p count elements
        from index @p first on must write.
        """
        if count == 0:
            return []
        spans = [(0, 4)]
        if count >= self.size:
            spans.append((4, 8 * self.size))
        else:
            spans += [(4 + 8 * ((first + k) % self.size), 8) for k in range(count)]
        return spans
