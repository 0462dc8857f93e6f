"""Guest memory: memfd regions with guest-physical and front-end addresses, a page allocator, a shadow copy."""

import mmap
import os
import struct

PAGE = 4096
WORD = struct.Struct("@H")


def memfd(size, name="godwit-wire"):
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    return fd


class Region:
    """[gpa, gpa + size) backed by @p fd at @p offset; @p uva is where the front-end claims to have it."""

    def __init__(self, gpa, size, uva, fd=None, offset=0):
        self.gpa, self.size, self.uva, self.offset = gpa, size, uva, offset
        self.fd = memfd(size + offset) if fd is None else os.dup(fd)
        self.map = mmap.mmap(self.fd, size + offset)
        self.view = memoryview(self.map)[offset:]
        self.shadow = None

    def close(self):
        self.view.release()
        self.map.close()
        os.close(self.fd)

    def entry(self):
        return (self.gpa, self.size, self.uva, self.offset)


# The default layout: as QEMU's (a hole below 1 MiB, memory above 4 GiB), only small. The front-end
# addresses are far from the guest-physical ones and in another order, so that a mix-up shows.
DEFAULT_LAYOUT = (
    (0x0, 0xA0000, 0x7F0020000000),
    (0xC0000, 0x140000, 0x7F0010000000),
    (0x100000000, 0x100000, 0x7F0000000000),
)


class GuestMemory:
    """
    All the memory that one guest shares. Reads and writes by guest-physical address.
    With track() on, what the front-end writes is repeated in a shadow copy, so that
    changed_pages() is exactly what the back-end wrote (unless with the same value).
    """

    def __init__(self, layout=DEFAULT_LAYOUT):
        self.regions = [r if isinstance(r, Region) else Region(*r) for r in layout]
        self.next = [r.gpa for r in self.regions]
        self.tracking = False

    def close(self):
        for r in self.regions:
            r.close()

    def find(self, gpa, length=1):
        for r in self.regions:
            if r.gpa <= gpa and gpa + length <= r.gpa + r.size:
                return r, gpa - r.gpa
        raise ValueError(f"guest address {gpa:#x}+{length} is outside memory")

    def read(self, gpa, length):
        r, at = self.find(gpa, max(length, 1))
        return bytes(r.view[at : at + length])

    def write(self, gpa, data):
        r, at = self.find(gpa, max(len(data), 1))
        r.view[at : at + len(data)] = data
        if self.tracking:
            r.shadow[at : at + len(data)] = data

    def read16(self, gpa):
        # One load: copying bytes reads the high one twice, and an index that moves meanwhile is torn.
        r, at = self.find(gpa, 2)
        return WORD.unpack_from(r.view, at)[0]

    def read32(self, gpa):
        return int.from_bytes(self.read(gpa, 4), "little")

    def write16(self, gpa, value):
        # Assigning a slice of two bytes is a memcpy of two: one store on every machine that matters.
        self.write(gpa, (value & 0xFFFF).to_bytes(2, "little"))

    def uva(self, gpa):
        r, at = self.find(gpa)
        return r.uva + at

    def alloc(self, size, align=PAGE, region=-1, skew=0):
        """Take @p size bytes in region @p region, at an address that is @p skew past a multiple of @p align."""
        r = self.regions[region]
        at = -(-(self.next[region] - skew) // align) * align + skew
        if at + size > r.gpa + r.size:
            raise MemoryError(f"region at {r.gpa:#x} is full")
        self.next[region] = at + size
        return at

    def top(self):
        """One past the highest guest-physical address."""
        return max(r.gpa + r.size for r in self.regions)

    def table(self):
        return [r.entry() for r in self.regions]

    def fds(self):
        return [r.fd for r in self.regions]

    # --- who wrote what ------------------------------------------------------------------

    def track(self):
        """Take a copy of all memory, and keep it equal to what the front-end writes from here on."""
        for r in self.regions:
            r.shadow = bytearray(r.view)
        self.tracking = True

    def changed_pages(self):
        """Numbers of the guest pages that differ from the shadow: the back-end's writes."""
        changed = set()
        for r in self.regions:
            first = r.gpa // PAGE
            for i in range(r.size // PAGE):
                part = slice(i * PAGE, (i + 1) * PAGE)
                if bytes(r.view[part]) != r.shadow[part]:
                    changed.add(first + i)
        return changed


def pages_of(gpa, length):
    """The pages that [gpa, gpa + length) touches."""
    if length == 0:
        return set()
    return set(range(gpa // PAGE, (gpa + length - 1) // PAGE + 1))


class DirtyLog:
    """A dirty log in a memfd, as QEMU shares it: one bit per guest page from guest address 0."""

    def __init__(self, memory=None, size=None, offset=0, top=None):
        if size is None:
            top = memory.top() if top is None else top
            size = (-(-top // PAGE) + 63) // 64 * 8
        self.size, self.offset = size, offset
        whole = -(-(size + offset) // PAGE) * PAGE
        self.fd = memfd(whole, "vhost-log")
        self.map = mmap.mmap(self.fd, whole)

    def close(self):
        self.map.close()
        os.close(self.fd)

    def pages(self):
        """Numbers of the pages that are marked."""
        data = self.map[self.offset : self.offset + self.size]
        marked = set()
        for at, byte in enumerate(data):
            if byte:
                marked |= {at * 8 + bit for bit in range(8) if byte >> bit & 1}
        return marked

    def outside(self):
        """True when a byte of the mapping outside the log itself was written."""
        return any(self.map[: self.offset]) or any(self.map[self.offset + self.size :])

    def clear(self):
        self.map[:] = bytes(len(self.map))
