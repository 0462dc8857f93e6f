"""Memory tables and dirty logs that lie: overlaps, wraps, short or vanishing files, logs too small."""

import fcntl
import mmap
import os
import time

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import RX, TX
from lib.memory import PAGE, DirtyLog, GuestMemory, Region, memfd
from lib.wire import frame

MIB = 1 << 20
TOP = 2**64


@pytest.fixture
def greeted(daemon, wire, quiet):
    """A front-end just before SET_MEM_TABLE; afterwards godwitd serves another and holds no mapping."""
    fe = checks.connect(daemon.socket)
    fe.hello()
    fe.set_features()
    fe.conn.settle()
    yield fe
    fe.close()
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def refuse_table(fe, regions, fds=None, count=None):
    """SET_MEM_TABLE with @p regions must end the connection."""
    made = None
    if fds is None:
        made = memfd(16 * MIB)
        fds = [made] * len(regions)
    try:
        fe.conn.send(m.SET_MEM_TABLE, m.mem_table(regions, count), fds, m.VERSION | m.NEED_REPLY)
        for _, _, body in fe.conn.wait_closed():
            assert m.U64.unpack(body)[0] != 0, "acknowledged"
    except m.Closed:
        pass
    finally:
        if made is not None:
            os.close(made)


A = 0x7F0000000000
TABLES = {
    "size_0": [(0, 0, A, 0)],
    "gpa_overlap": [(0, 2 * MIB, A, 0), (MIB, 2 * MIB, A + 16 * MIB, 4 * MIB)],
    "gpa_same": [(0, MIB, A, 0), (0, MIB, A + 16 * MIB, MIB)],
    "gpa_overlap_by_a_page": [(0, MIB, A, 0), (MIB - PAGE, MIB, A + 16 * MIB, MIB)],
    "gpa_overlap_third": [(0, MIB, A, 0), (4 * MIB, MIB, A + 16 * MIB, MIB), (MIB // 2, MIB, A + 32 * MIB, 2 * MIB)],
    "uva_overlap": [(0, 2 * MIB, A, 0), (16 * MIB, 2 * MIB, A + MIB, 4 * MIB)],
    "uva_same": [(0, MIB, A, 0), (16 * MIB, MIB, A, MIB)],
    "gpa_wraps": [(TOP - PAGE, 2 * PAGE, A, 0)],
    "uva_wraps": [(0, 2 * PAGE, TOP - PAGE, 0)],
    "offset_wraps": [(0, MIB, A, TOP - PAGE)],
    "offset_and_size_wrap": [(0, MIB, A, TOP - MIB)],
    "size_huge": [(0, TOP - PAGE, A, 0)],
    "size_negative": [(0, 1 << 63, A, 0)],
    "size_beyond_file": [(0, 16 * MIB + PAGE, A, 0)],
    "offset_beyond_file": [(0, MIB, A, 16 * MIB)],
    "offset_far_beyond_file": [(0, MIB, A, 1 << 40)],
    "end_beyond_file": [(0, MIB, A, 16 * MIB - PAGE)],
}


@pytest.mark.parametrize("case", sorted(TABLES))
def test_bad_table(greeted, case):
    refuse_table(greeted, TABLES[case])


@pytest.mark.parametrize(
    "region",
    [(1, MIB, A, 0), (0, MIB + 1, A, 0), (0, MIB, A + 1, 0), (0, 100, A, 0), (512, MIB, A + 512, 0), (0, MIB, A, 512)],
    ids=["gpa", "size", "uva", "size_small", "both", "offset"],
)
def test_unaligned_region(greeted, daemon, region):
    """Not page aligned: may be refused or served, but within its bounds (the fixture sends another after it)."""
    fd = memfd(16 * MIB)
    try:
        greeted.conn.send(m.SET_MEM_TABLE, m.mem_table([region]), [fd])
        greeted.conn.settle()
    except m.Closed:
        pass
    finally:
        os.close(fd)


@pytest.mark.parametrize("count", [0, 1, 2, 4, 7, 8, 9, 0xFFFF, 0x10000, 0xFFFFFFFF])
def test_count_lies(greeted, count):
    """Three regions are sent, and another number is claimed."""
    regions = [(i * MIB, MIB, A + i * MIB, i * MIB) for i in range(3)]
    refuse_table(greeted, regions, count=count)


def test_nine_regions(greeted):
    refuse_table(greeted, [(i * MIB, MIB, A + i * MIB, i * MIB) for i in range(9)])


def test_eight_regions(daemon, wire, quiet):
    layout = [(i * 0x200000, 0x100000, A + (7 - i) * 0x300000) for i in range(8)]
    with checks.connect(daemon.socket, memory=GuestMemory(layout)) as fe:
        fe.start()
        for region in range(8):
            fe.post([(fe.memory.alloc(2048, 64, region), 2048)])
        fe.publish(RX)
        for _ in range(8):
            checks.from_wire(fe, wire, frame(checks.fresh()))
        fe.stop()


@pytest.mark.parametrize("count", [0, 1, 2, 4, 8])
def test_wrong_number_of_region_descriptors(greeted, count):
    fd = memfd(16 * MIB)
    refuse_table(greeted, [(i * MIB, MIB, A + i * MIB, i * MIB) for i in range(3)], [fd] * count)
    os.close(fd)


def test_regions_in_one_file_with_offsets(daemon, wire, quiet):
    """QEMU's usual case: one memfd, two regions of it around the hole."""
    fd = memfd(4 * MIB)
    layout = [Region(0, 0xA0000, A, fd, 0), Region(0xC0000, 3 * MIB, A + 0xC0000, fd, 0xC0000)]
    os.close(fd)
    with checks.connect(daemon.socket, memory=GuestMemory(layout)) as fe:
        fe.start()
        fe.post([(0x1000, 2048)])
        fe.publish(RX)
        checks.both_ways(fe, wire)
        fe.stop()


def odd_files():
    ro = memfd(16 * MIB)
    read_only = os.open(f"/proc/self/fd/{ro}", os.O_RDONLY)
    os.close(ro)
    sealed = os.memfd_create("sealed", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(sealed, 16 * MIB)
    fcntl.fcntl(sealed, 1033, 0x0008)  # F_ADD_SEALS, F_SEAL_WRITE
    r, w = os.pipe()
    os.close(w)
    return {
        "read_only": read_only,
        "sealed": sealed,
        "pipe": r,
        "eventfd": m.eventfd(),
        "directory": os.open("/", os.O_RDONLY),
        "null": os.open("/dev/null", os.O_RDWR),
        "path": os.open("/", os.O_PATH),
    }


@pytest.mark.parametrize("kind", ["read_only", "sealed", "pipe", "eventfd", "directory", "null", "path"])
def test_memory_that_cannot_be_mapped(greeted, kind):
    files = odd_files()
    refuse_table(greeted, [(0, MIB, A, 0)], [files[kind]])
    for fd in files.values():
        os.close(fd)


def test_second_table_bad_after_a_good_one(running, daemon, wire):
    """The connection ends; nothing of either table stays."""
    refuse_table(running, TABLES["gpa_overlap"])
    running.conn.close()
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def test_table_that_takes_the_rings_away(running, daemon, wire):
    """The new table no longer holds the running rings: the connection or the ring fails, godwitd does not."""
    fe = running
    fd = memfd(MIB)
    try:
        fe.conn.send(m.SET_MEM_TABLE, m.mem_table([(1 << 40, MIB, 0x1000, 0)]), [fd])
        fe.conn.settle()
        wire.inject(*(frame(checks.fresh()) for _ in range(10)))
        time.sleep(0.1)
    except m.Closed:
        pass
    os.close(fd)
    fe.conn.close()
    checks.still_serves(daemon, wire)


# --- files that shrink (SIGBUS) ------------------------------------------------------------


@pytest.mark.parametrize("what", ["buffers", "rings", "all"])
@pytest.mark.parametrize("direction", ["rx", "tx"])
def test_memory_truncated_after_mapping(daemon, wire, quiet, what, direction):
    """A front-end that shrinks its memory hurts its own vNIC only."""
    layout = [(0, MIB, A), (4 * MIB, 4 * MIB, A + 16 * MIB)]
    with checks.connect(daemon.socket, memory=GuestMemory(layout)) as fe:
        fe.start()
        fe.post([(0x80000, 2048)])
        fe.publish(RX)
        checks.both_ways(fe, wire)
        for _ in range(16):
            fe.post([(0x90000, 2048)])
        for i in range(16):
            fe.tx.add([(0xA0000 + 4096 * i, 100, False)])
        if what == "buffers":
            os.ftruncate(fe.memory.regions[0].fd, 0)
        if direction == "rx":
            fe.publish(RX)
        else:
            fe.publish(TX)
        if what in ("rings", "all"):
            os.ftruncate(fe.memory.regions[1].fd, 0)
        if what == "all":
            os.ftruncate(fe.memory.regions[0].fd, 0)
        wire.inject(*(frame(checks.fresh()) for _ in range(20)))
        connection_ends(fe)
    checks.still_serves(daemon, wire)


def connection_ends(fe, timeout=3.0):
    """Wait for the connection to be closed: an ERR alone would blame the guest for what its front-end did."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            fe.conn.send(m.GET_FEATURES)
            fe.conn.receive()
        except m.Closed:
            return
        time.sleep(0.02)
    raise AssertionError("the connection goes on over memory that is gone")


@pytest.mark.parametrize("step", ["start", "base", "replace", "enable", "close"])
def test_memory_truncated_before_a_message(daemon, wire, quiet, step):
    """Here it is the control thread that meets the missing pages: binding a ring, stopping it, mapping anew."""
    with checks.connect(daemon.socket) as fe:
        fe.hello()
        fe.set_features()
        fe.set_mem_table()
        if step != "start":
            fe.run()
            fe.fill(8)
        fe.conn.settle()
        for region in fe.memory.regions:
            os.ftruncate(region.fd, 0)
        try:
            if step == "start":
                # The test's own ring memory is gone too: only messages are sent.
                for i in (RX, TX):
                    fe.conn.send(m.SET_VRING_NUM, m.STATE.pack(i, fe.size))
                    fe.set_addr(i)
                    fe.set_fd(m.SET_VRING_KICK, i, fe.kick[i])
            elif step == "base":
                fe.stop()
            elif step == "replace":
                fe.conn.send(m.SET_MEM_TABLE, m.mem_table(fe.memory.table()), fe.memory.fds())
            elif step == "enable":
                fe.enable(0)
                fe.enable(1)
            fe.conn.settle()
        except (m.Closed, AssertionError):
            pass
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def test_memory_truncated_under_both_rings_at_once(daemon, wire, quiet):
    """Both rings meet their zero pages in one round, as a guest's breaking them would look: it is the front-end's doing."""
    layout = [(0, MIB, A), (4 * MIB, 4 * MIB, A + 16 * MIB)]
    with checks.connect(daemon.socket, memory=GuestMemory(layout)) as fe:
        fe.start()
        fe.post([(0x80000, 2048)])
        fe.publish(RX)
        checks.both_ways(fe, wire)
        # More than was posted: the next one is held, and its ring is looked at in every round, like the other's.
        wire.inject(*(frame(checks.fresh()) for _ in range(40)))
        time.sleep(0.2)
        os.ftruncate(fe.memory.regions[1].fd, 0)
        connection_ends(fe)
    checks.still_serves(daemon, wire)


def test_log_truncated_after_mapping(running, daemon, wire):
    fe = running
    log = DirtyLog(fe.memory)
    fe.start_log(log)
    os.ftruncate(log.fd, 0)
    wire.inject(*(frame(checks.fresh()) for _ in range(20)))
    connection_ends(fe)
    fe.conn.close()
    checks.still_serves(daemon, wire)
    log.close()


def test_memory_file_shorter_than_page_count(greeted):
    """The file ends in the middle of the region."""
    fd = memfd(MIB // 2 + 100)
    refuse_table(greeted, [(0, MIB, A, 0)], [fd])
    os.close(fd)


# --- the log -------------------------------------------------------------------------------


def refuse_log(fe, payload, fds):
    """SET_LOG_BASE must be refused: closed, perhaps after a reply that says failed."""
    try:
        fe.conn.send(m.SET_LOG_BASE, payload, fds, m.VERSION | m.NEED_REPLY)
        for _, _, body in fe.conn.wait_closed():
            assert body and m.U64.unpack(body)[0] != 0, "acknowledged"
    except m.Closed:
        pass


def log_cases(need):
    """(size, offset, length of the file) that no log may have. @p need bytes would be enough."""
    whole = -(-need // PAGE) * PAGE
    return {
        "size_0": (0, 0, whole),
        "offset_beyond_file": (need, whole, whole),
        "end_beyond_file": (need, PAGE, whole),
        "file_empty": (need, 0, 0),
        "size_huge": (1 << 62, 0, whole),
        "size_wraps": (TOP - 1, 0, whole),
        "offset_wraps": (need, TOP - PAGE, whole),
        "sum_wraps": (TOP - PAGE, 2 * PAGE, whole),
    }


@pytest.mark.parametrize("case", sorted(log_cases(PAGE)))
def test_bad_log(running, daemon, wire, case):
    fe = running
    good = DirtyLog(fe.memory)
    size, offset, length = log_cases(good.size)[case]
    fd = memfd(length, "vhost-log")
    refuse_log(fe, m.LOG.pack(size, offset), [fd])
    os.close(fd)
    good.close()
    fe.conn.close()
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def test_log_too_small(running, daemon, wire):
    """A log that does not cover all memory is refused, or never written past its end."""
    fe = running
    guard = 2 * PAGE
    log = DirtyLog(size=64, offset=0)
    os.ftruncate(log.fd, PAGE + guard)
    probe = mmap.mmap(log.fd, PAGE + guard)
    try:
        fe.conn.send(m.SET_LOG_BASE, m.LOG.pack(64, 0), [log.fd])
        fe.conn.receive()
        fe.set_features(m.F_LOG_ALL)
        for i in (RX, TX):
            fe.set_addr(i, m.VRING_F_LOG)
        wire.inject(*(frame(checks.fresh()) for _ in range(20)))
        time.sleep(0.2)
    except (m.Closed, m.NoReply):
        pass
    assert not any(probe[64:]), "written past the log's end"
    probe.close()
    log.close()
    fe.conn.close()
    checks.still_serves(daemon, wire)


def test_used_ring_log_address_beyond_the_log(running, daemon, wire):
    """log_guest_addr lies past what the log covers: refused, or not written out of bounds."""
    fe = running
    log = DirtyLog(fe.memory)
    for at in (fe.memory.top() + (1 << 30), TOP - PAGE, 1 << 62):
        fe.log_addr = [at, at]
        try:
            fe.start_log(log)
            wire.inject(*(frame(checks.fresh()) for _ in range(5)))
            time.sleep(0.1)
        except (m.Closed, m.NoReply, AssertionError):
            break
    assert not log.outside()
    log.close()
    fe.conn.close()
    checks.still_serves(daemon, wire)


@pytest.mark.parametrize("kind", ["read_only", "sealed", "pipe", "eventfd", "directory", "null", "path"])
def test_log_that_cannot_be_mapped(running, daemon, wire, kind):
    files = odd_files()
    refuse_log(running, m.LOG.pack(0x20100, 0), [files[kind]])
    for fd in files.values():
        os.close(fd)
    running.conn.close()
    checks.still_serves(daemon, wire)


def test_log_all_without_a_log(running, daemon, wire):
    """LOG_ALL with no SET_LOG_BASE before: there is nowhere to log to."""
    fe = running
    try:
        fe.conn.send(m.SET_FEATURES, m.U64.pack(fe.features | m.F_LOG_ALL))
        fe.conn.settle()
        for i in (RX, TX):
            fe.conn.send(m.SET_VRING_ADDR, fe.addr_payload(i, m.VRING_F_LOG))
        fe.conn.settle()
        wire.inject(*(frame(checks.fresh()) for _ in range(5)))
        time.sleep(0.05)
    except m.Closed:
        pass
    fe.conn.close()
    checks.still_serves(daemon, wire)


def test_log_offset_is_honoured(running, wire):
    fe = running
    log = DirtyLog(fe.memory, offset=8 * PAGE)
    fe.start_log(log)
    checks.both_ways(fe, wire)
    assert fe.rx.used // PAGE in log.pages() and not log.outside()
    fe.stop()
    log.close()
