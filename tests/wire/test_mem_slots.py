"""CONFIGURE_MEM_SLOTS: memory that is added and removed region by region, under running rings."""

import os
import time

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import OFFERED, RX, TX
from lib.memory import DirtyLog, Region, memfd
from lib.wire import frame

MIB = 1 << 20
FAR = 0x200000000
UVA = 0x7E0000000000
ACK = m.VERSION | m.NEED_REPLY


@pytest.fixture
def fe(daemon, wire, quiet):
    """A running front-end that shares its memory region by region; afterwards nothing is held."""
    with checks.connect(daemon.socket, protocol=OFFERED) as front:
        front.start()
        yield front
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def add(fe, region):
    return fe.conn.ask_u64(m.ADD_MEM_REG, m.mem_reg(region.entry()), [region.fd], ACK)


def remove(fe, region, fds=()):
    gpa, size, uva, _ = region.entry()
    return fe.conn.ask_u64(m.REM_MEM_REG, m.mem_reg((gpa, size, uva, 0xFFFF000)), fds, ACK)


def grow(fe, gpa=FAR, uva=UVA, size=MIB):
    region = Region(gpa, size, uva)
    assert add(fe, region) == 0
    fe.memory.regions.append(region)
    fe.memory.next.append(gpa)
    return region


def shrink(fe, region):
    assert remove(fe, region) == 0
    i = fe.memory.regions.index(region)
    del fe.memory.regions[i], fe.memory.next[i]
    region.close()


def refused(fe, request, payload, fds=()):
    try:
        status = fe.conn.ask_u64(request, payload, fds, ACK)
        assert status != 0, "acknowledged"
        fe.conn.wait_closed()
    except m.Closed:
        pass


def test_slots(fe):
    assert fe.conn.ask_u64(m.GET_MAX_MEM_SLOTS) >= 64


def test_memory_plugged_and_unplugged_under_traffic(fe, wire, daemon):
    """The other regions are not mapped anew, and the rings do not stop: nothing is lost or used twice."""
    maps = daemon.guest_mappings()
    for k in range(20):
        region = grow(fe, FAR + k * 2 * MIB, UVA + k * 2 * MIB)
        checks.both_ways(fe, wire)
        while fe.rx.room() < fe.rx.size:
            checks.both_ways(fe, wire)
        fe.memory.next[-1] = region.gpa
        fe.post(length=2048)
        fe.publish(RX)
        _, _, chains = checks.from_wire(fe, wire, frame(checks.fresh()))
        assert chains[0][2][0][0] >= FAR
        # The front-end's own buffers go back to memory that stays.
        fe._tx_slots = [at for at in fe._tx_slots if at < FAR]
        at = fe.memory.regions.pop(), fe.memory.next.pop()
        checks.both_ways(fe, wire)
        fe.memory.regions.append(at[0])
        fe.memory.next.append(at[1])
        shrink(fe, region)
        checks.both_ways(fe, wire)
    assert daemon.guest_mappings() == maps


def test_as_many_regions_as_there_are_slots(fe, wire, daemon):
    """And not one more. In any order; all of them are reached."""
    slots = fe.conn.ask_u64(m.GET_MAX_MEM_SLOTS)
    have = len(fe.memory.regions)
    made = [Region(FAR + (k * 37 % (slots - have)) * 0x10000, 4096, UVA + k * 0x10000) for k in range(slots - have)]
    for region in made:
        assert add(fe, region) == 0
    extra = Region(FAR - 0x10000, 4096, UVA - 0x10000)
    for region in (made[0], made[len(made) // 2], made[-1]):
        fe.memory.regions.insert(0, region)
        fe.rx.add([(region.gpa, 2048, True)], [(region.gpa, 2048)])
        fe.publish(RX)
        checks.from_wire(fe, wire, frame(checks.fresh()))
        del fe.memory.regions[0]
    refused(fe, m.ADD_MEM_REG, m.mem_reg(extra.entry()), [extra.fd])
    for region in [*made, extra]:
        region.close()


def test_region_with_a_running_ring_stays(fe, daemon):
    """Removing it is refused before anything is unmapped."""
    region = next(r for r in fe.memory.regions if r.gpa <= fe.rx.desc < r.gpa + r.size)
    before = daemon.log().count("runs in the region")
    refused(fe, m.REM_MEM_REG, m.mem_reg(region.entry()))
    assert daemon.log().count("runs in the region") == before + 1


def test_region_goes_once_its_rings_stopped(fe, wire):
    """And rings that are kicked without it are refused."""
    region = next(r for r in fe.memory.regions if r.gpa <= fe.rx.desc < r.gpa + r.size)
    fe.stop()
    assert remove(fe, region) == 0
    try:
        fe.set_ring(RX)
        fe.conn.wait_closed()
    except m.Closed:
        pass


def test_all_memory_goes_and_comes_back(fe, wire):
    fe.stop()
    for region in fe.memory.regions:
        assert remove(fe, region) == 0
    for region in fe.memory.regions:
        assert add(fe, region) == 0
    for i in (RX, TX):
        fe.set_ring(i)
    checks.both_ways(fe, wire)


def test_kick_with_all_memory_gone(fe):
    fe.stop()
    for region in fe.memory.regions:
        assert remove(fe, region) == 0
    refused(fe, m.SET_VRING_KICK, m.U64.pack(RX), [fe.kick[RX]])


def test_buffer_in_a_removed_region_breaks_its_ring_only(fe, wire):
    """The guest posted it, and the front-end took it away: the ring stands still, the connection lives."""
    region = grow(fe)
    fe.post([(FAR, 2048)])
    fe.publish(RX)
    shrink(fe, region)
    wire.inject(frame(checks.fresh()))
    assert m.eventfd_wait(fe.err[RX], 5), "no error is signalled"
    checks.to_wire(fe, wire, frame(checks.fresh(), to_guest=False))


@pytest.mark.parametrize("what", ["gpa", "uva", "size", "all"])
def test_region_is_told_by_gpa_uva_and_size(fe, what):
    """One of them wrong is another region, which is not there."""
    gpa, size, uva, _ = grow(fe).entry()
    wrong = {"gpa": (gpa + 4096, size, uva), "uva": (gpa, size, uva + 4096), "size": (gpa, size - 4096, uva)}
    refused(fe, m.REM_MEM_REG, m.mem_reg((*wrong.get(what, (gpa * 2, size * 2, uva * 2)), 0)))


def test_descriptor_with_rem_mem_reg_is_closed_unused(fe, daemon):
    """Spec: front-ends that send one with it exist; the back-end closes it."""
    region = grow(fe)
    fe.conn.settle()
    before = len(daemon.fds())
    assert remove(fe, region, [region.fd]) == 0
    fe.conn.settle()
    assert len(daemon.fds()) <= before
    i = fe.memory.regions.index(region)
    del fe.memory.regions[i], fe.memory.next[i]
    region.close()


@pytest.mark.parametrize("count", [0, 2])
def test_add_needs_exactly_one_descriptor(fe, count):
    region = Region(FAR, MIB, UVA)
    refused(fe, m.ADD_MEM_REG, m.mem_reg(region.entry()), [region.fd] * count)
    region.close()


A = FAR
BAD = {
    "size_0": (A, 0, UVA, 0),
    "unaligned": (A + 8, MIB, UVA, 0),
    "gpa_wraps": (2**64 - 4096, 8192, UVA, 0),
    "uva_wraps": (A, 8192, 2**64 - 4096, 0),
    "beyond_file": (A, 32 * MIB, UVA, 0),
    "offset_beyond_file": (A, MIB, UVA, 16 * MIB),
    "offset_wraps": (A, MIB, UVA, 2**64 - MIB),
    "size_negative": (A, 1 << 63, UVA, 0),
    "overlaps_gpa": (0x100000000, MIB, UVA, 0),
    "overlaps_gpa_by_a_page": (0x100000000 - MIB + 4096, MIB, UVA, 0),
    "overlaps_uva": (A, MIB, 0x7F0000000000, 0),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_region(fe, case):
    fd = memfd(16 * MIB)
    refused(fe, m.ADD_MEM_REG, m.mem_reg(BAD[case]), [fd])
    os.close(fd)


def test_same_region_twice(fe):
    region = grow(fe)
    refused(fe, m.ADD_MEM_REG, m.mem_reg(region.entry()), [region.fd])


def test_table_replaces_all_regions(fe, wire):
    """SET_MEM_TABLE stays possible; then REM_MEM_REG knows only what it brought."""
    region = grow(fe)
    fe.memory.regions.remove(region)
    fe.memory.next.pop()
    assert fe.conn.ask_u64(m.SET_MEM_TABLE, m.mem_table(fe.memory.table()), fe.memory.fds(), ACK) == 0
    checks.both_ways(fe, wire)
    refused(fe, m.REM_MEM_REG, m.mem_reg(region.entry()))
    region.close()


def test_log_must_cover_an_added_region(fe, wire):
    """While logging: too high a region is refused, as the log has no bits for it."""
    log = DirtyLog(fe.memory)
    fe.start_log(log)
    checks.both_ways(fe, wire)
    region = Region(1 << 46, MIB, UVA)
    refused(fe, m.ADD_MEM_REG, m.mem_reg(region.entry()), [region.fd])
    region.close()
    log.close()


def test_writes_to_an_added_region_are_logged(fe, wire):
    log = DirtyLog(top=FAR + 2 * MIB)
    fe.start_log(log)
    grow(fe)
    while fe.rx.room() < fe.rx.size:
        checks.both_ways(fe, wire)
    log.clear()
    fe.post([(FAR + 0x5000, 2048)])
    fe.publish(RX)
    checks.from_wire(fe, wire, frame(checks.fresh()))
    time.sleep(0.05)
    assert (FAR + 0x5000) // 4096 in log.pages()
    log.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_added_memory_is_truncated(fe, wire, when):
    """The file shrinks under an added region as it can under one of a table: the connection ends, nothing else."""
    region = Region(FAR, MIB, UVA)
    if when == "before":
        os.ftruncate(region.fd, 0)
        refused(fe, m.ADD_MEM_REG, m.mem_reg(region.entry()), [region.fd])
    else:
        assert add(fe, region) == 0
        fe.rx.add([(FAR, 2048, True)], [(FAR, 2048)])
        fe.publish(RX)
        os.ftruncate(region.fd, 0)
        wire.inject(frame(checks.fresh()))
        with pytest.raises(m.Closed):
            for _ in range(500):
                fe.conn.settle()
                time.sleep(0.01)
    region.close()
