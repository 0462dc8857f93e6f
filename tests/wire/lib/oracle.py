"""
The dirty-log oracle: what the back-end wrote, what it logged, and what it had to write, each found on its own.

Theory of operation. The front-end owns all memory and repeats its own writes in a shadow copy, so a
difference is a write of the back-end's. What may be written is overwritten with a canary beforehand, so that
a write shows even where its value is usual. What had to be written follows from the used elements and from
the frames the test itself injected, never from the log. Buffers lie alone on their pages, with an unused
page on each side, so that one page too many is nobody else's. Then, per round:

    changed - expected  must be empty: it wrote where it had nothing to write
    expected - changed  must be empty: the oracle itself is blind
    changed - logged    must be empty: a page that a migration would not send again
    logged - expected   must be empty: a page sent for nothing
"""

import time

from .frontend import RX, TX
from .memory import PAGE, pages_of
from .wire import CANARY


class Oracle:
    """Watches a running, logging FrontEnd. Used pages are counted at fe.log_addr, as the log does."""

    def __init__(self, fe, log, used_logged=True):
        self.fe, self.log, self.used_logged = fe, log, used_logged
        self.used_from = [0, 0]
        self.expected = set()
        self.expected_used = set()

    # --- what the back-end may write -----------------------------------------------------

    def used_area(self, i):
        q = self.fe.queues[i]
        return q.used, q.avail_event_at + 2 - q.used

    def lay_canaries(self):
        """Into every posted receive buffer, and every used element (all are taken)."""
        mem = self.fe.memory
        for _, segments in self.fe.rx.chains.values():
            for gpa, length in segments:
                mem.write(gpa, CANARY * length)
        for q in self.fe.queues:
            mem.write(q.used + 4, CANARY * (8 * q.size))

    def begin(self):
        """Start a round, with nothing in flight."""
        self.expected, self.expected_used = set(), set()
        self.lay_canaries()
        for _ in range(100):
            self.log.clear()
            self.fe.memory.track()
            self.used_from = [q.used_idx for q in self.fe.queues]
            time.sleep(0.002)
            if not self.log.pages():
                return
        raise AssertionError("pages are logged while nothing is sent or received")

    def received(self, frames):
        """Note what delivering @p frames, (header, data, chains) each, had to write."""
        for _, _, chains in frames:
            for _, length, segments in chains:
                for gpa, size in segments:
                    piece = min(size, length)
                    self.expected |= pages_of(gpa, piece)
                    length -= piece

    def note_used(self):
        """Note what publishing the used elements of this round had to write, in the log's addresses."""
        for i, q in enumerate(self.fe.queues):
            count = (q.used_idx - self.used_from[i]) & 0xFFFF
            for offset, length in q.used_pages_written(self.used_from[i], count):
                self.expected_used |= pages_of(self.fe.log_addr[i] + offset, length)

    # --- what it did write ---------------------------------------------------------------

    def changed(self):
        """(pages outside the used rings, used-ring pages in the log's addresses) that changed."""
        plain, used = set(), set()
        areas = [(i, *self.used_area(i)) for i in (RX, TX)]
        for page in self.fe.memory.changed_pages():
            region, at = self.fe.memory.find(page * PAGE)
            here = bytes(region.view[at : at + PAGE])
            was = bytes(region.shadow[at : at + PAGE])
            outside = bytearray(PAGE)
            for i, base, length in areas:
                low = max(base - page * PAGE, 0)
                high = min(base + length - page * PAGE, PAGE)
                if low >= high:
                    continue
                outside[low:high] = b"\1" * (high - low)
                for k in range(low, high):
                    if here[k] != was[k]:
                        used |= pages_of(self.fe.log_addr[i] + page * PAGE + k - base, 1)
            if any(here[k] != was[k] and not outside[k] for k in range(PAGE)):
                plain.add(page)
        return plain, used

    def verdict(self):
        """The four differences, as {what: pages}; all empty when all is well."""
        plain, used = self.changed()
        logged = self.log.pages()
        # flags and avail_event may be written at any time; they are in the used ring, and must be logged.
        must = plain | (used if self.used_logged else set())
        may = self.expected | ((self.expected_used | used) if self.used_logged else set())
        return {
            "written where nothing belongs": plain - self.expected,
            "expected, yet not seen to change": (self.expected - plain) | (self.expected_used - used),
            "changed, not logged": must - logged,
            "logged, not written": logged - may,
            "outside the log": {0} if self.log.outside() else set(),
        }

    def check(self, patience=0.25):
        """End a round. The mark for an index follows its store, so a moment's patience is due."""
        self.note_used()
        deadline = time.monotonic() + patience
        while True:
            bad = {what: sorted(map(hex, pages)) for what, pages in self.verdict().items() if pages}
            if not bad:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"dirty log: {bad}")
            time.sleep(0.005)
