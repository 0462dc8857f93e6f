"""A thousand times what might leak: descriptors, mappings and memory stay where they were."""

import os

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import RX, TX
from lib.memory import PAGE, DirtyLog, memfd

TIMES = 1000
MIB = 1 << 20
A = 0x7F0000000000


def resident_kib(daemon):
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.fixture
def no_growth(daemon, wire, quiet):
    """Descriptors, mappings and resident memory after the test are those of before."""
    checks.still_serves(daemon, wire)
    before = resident_kib(daemon)
    yield
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()
    grown = resident_kib(daemon) - before
    if "asan" not in os.environ.get("GODWITD", ""):
        # A leak of 4 KiB each time would be 4 MiB; ASan keeps freed memory and is left out.
        assert grown < 2048, f"{grown} KiB more after {TIMES} times"


def refused(daemon, request, payload, fds, flags=m.VERSION):
    """One connection that ends with a refused message that carries descriptors."""
    conn = m.Connection(daemon.socket)
    try:
        conn.send(request, payload, fds, flags)
        conn.wait_closed()
    except m.Closed:
        pass
    conn.close()


def each_time(daemon, request, payload, fds):
    for k in range(TIMES):
        refused(daemon, request, payload, fds)
        if k % 100 == 99:
            assert len(daemon.fds()) <= daemon.baseline + 20, daemon.fds()


def test_refused_memory_table(daemon, no_growth):
    """The third region overlaps the first: two were fine."""
    fd = memfd(16 * MIB)
    regions = [(0, MIB, A, 0), (4 * MIB, MIB, A + 16 * MIB, MIB), (MIB // 2, MIB, A + 32 * MIB, 2 * MIB)]
    each_time(daemon, m.SET_MEM_TABLE, m.mem_table(regions), [fd] * 3)
    os.close(fd)


def test_memory_table_whose_last_file_cannot_be_mapped(daemon, no_growth):
    """Two regions are mapped already when the third fails."""
    fd, empty = memfd(16 * MIB), memfd(0)
    regions = [(i * MIB, MIB, A + i * MIB, i * MIB) for i in range(3)]
    each_time(daemon, m.SET_MEM_TABLE, m.mem_table(regions), [fd, fd, empty])
    os.close(fd)
    os.close(empty)


def test_refused_log(daemon, no_growth):
    fd = memfd(PAGE)
    each_time(daemon, m.SET_LOG_BASE, m.LOG.pack(2 * PAGE, 0), [fd])
    os.close(fd)


def test_unknown_request_with_descriptors(daemon, no_growth):
    fd = m.eventfd()
    each_time(daemon, 99, b"", [fd] * 8)
    os.close(fd)


def test_too_many_descriptors(daemon, no_growth):
    fd = m.eventfd()
    each_time(daemon, m.SET_VRING_CALL, m.U64.pack(0), [fd] * 40)
    os.close(fd)


def test_hang_up_within_a_message_with_descriptors(daemon, no_growth):
    fd = m.eventfd()
    half = m.HEADER.pack(m.SET_MEM_TABLE, m.VERSION, 40) + bytes(8)
    for _ in range(TIMES):
        conn = m.Connection(daemon.socket)
        try:
            conn.send_raw(half, [fd] * 8)
        except m.Closed:
            pass
        conn.close()
    os.close(fd)


def test_replaced_eventfds_in_one_connection(daemon, no_growth):
    fd = m.eventfd()
    with checks.connect(daemon.socket) as fe:
        fe.hello()
        for request in (m.SET_VRING_CALL, m.SET_VRING_ERR):
            for i in (RX, TX):
                for _ in range(TIMES):
                    fe.set_fd(request, i, fd)
                fe.conn.settle()
        assert len(daemon.fds()) <= daemon.baseline + 1 + 4, daemon.fds()
    os.close(fd)


def test_replaced_memory_table_in_one_connection(daemon, no_growth):
    with checks.connect(daemon.socket) as fe:
        fe.hello()
        fe.set_features()
        for _ in range(TIMES):
            fe.set_mem_table()
        assert daemon.guest_mappings() <= 3
        assert len(daemon.fds()) <= daemon.baseline + 1 + 4 + 3, daemon.fds()


def test_replaced_log_in_one_connection(daemon, no_growth):
    with checks.connect(daemon.socket) as fe:
        fe.start()
        log = DirtyLog(fe.memory)
        for _ in range(TIMES):
            fe.conn.ask(m.SET_LOG_BASE, m.LOG.pack(log.size, 0), [log.fd])
        assert daemon.guest_mappings() <= 3 + 1
        log.close()


def test_rings_started_and_stopped(daemon, no_growth):
    with checks.connect(daemon.socket) as fe:
        fe.hello()
        for _ in range(TIMES // 4):
            fe.run()
            fe.stop()
        assert len(daemon.fds()) <= daemon.baseline + 1 + 6 + 3, daemon.fds()


def test_front_ends_that_come_and_go(daemon, no_growth):
    for _ in range(TIMES // 4):
        with checks.connect(daemon.socket) as fe:
            fe.start()


def test_migrations_that_are_cancelled(daemon, no_growth):
    with checks.connect(daemon.socket) as fe:
        fe.start()
        for _ in range(TIMES // 4):
            log = DirtyLog(fe.memory)
            fe.start_log(log)
            fe.stop_log()
            log.close()
        fe.conn.settle()
        assert daemon.guest_mappings() <= 3, "a log outlives its migration"
