"""The same tool, two real QEMUs and a guest that never stops writing memory."""

import pathlib
import socket
import time

import pytest

import realqemu
from conftest import interrupt, wait_until

pytestmark = pytest.mark.skipif(realqemu.missing() is not None, reason=str(realqemu.missing()))

# The memory that is not zero takes 24 s at this pace: the copy does not end by itself during a test.
SLOW = ("--downtime-ms", "1", "--bandwidth", "1")


@pytest.fixture
def qemus(tmp_path):
    p = realqemu.RealPair(tmp_path)
    yield p
    p.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def check_moved(p, run):
    assert run.status == 0, run.err
    r = run.json
    assert r["result"] == "ok" and r["vm"] == {"source": "postmigrate", "destination": "running"}
    assert r["downtime_ms"] >= 0 and r["total_ms"] > 0 and r["ram"]["transferred_bytes"] > 1 << 19
    assert 0 < r["stop_resume_ms"] < 10000
    assert r["qemu"]["source"] == r["qemu"]["destination"]
    assert p.source.status() == "postmigrate" and p.destination.status() == "running"
    assert p.destination.computes()
    return r


def check_stayed(p, run, result):
    assert run.status == 1, run.err
    assert run.json["result"] == result
    assert run.json["state"] == "the VM runs at the source, as before"
    assert p.source.status() == "running" and p.source.computes()
    now = p.source.call("query-migrate-parameters")
    assert (now["downtime-limit"], now["max-bandwidth"]) == (300, 128 << 20)


def test_there_and_back_again(qemus):
    check_moved(qemus, qemus.migrate())
    qemus.turn_round()
    check_moved(qemus, qemus.migrate())


def test_over_tcp(tmp_path):
    p = realqemu.RealPair(tmp_path, uri=f"tcp:127.0.0.1:{free_port()}")
    try:
        check_moved(p, p.migrate())
    finally:
        p.close()


def test_destination_that_listens_already(qemus):
    qemus.destination.call("migrate-incoming", uri=qemus.uri)
    check_moved(qemus, qemus.migrate())


def test_destination_that_waits_for_the_word(qemus):
    qemus.renew_destination("-S")
    check_moved(qemus, qemus.migrate())


def test_paused_vm_moves_paused(qemus):
    qemus.source.call("stop")
    run = qemus.migrate()
    assert run.status == 0, run.err
    assert qemus.destination.status() == "paused" and run.json["stop_resume_ms"] is None
    qemus.destination.call("cont")
    assert qemus.destination.computes()


def test_stop_to_resume_is_what_the_events_say(qemus):
    r = qemus.migrate("--downtime-ms", "100").json
    over = [p for p in r["phases"] if p["name"] in ("precopy", "switchover", "confirm")]
    assert over[0]["start_at"] <= r["stop_at"] <= r["resume_at"] <= time.time()
    assert r["resume_at"] <= over[-1]["start_at"] + (over[-1]["end_ms"] - over[-1]["start_ms"]) / 1000 + 0.001


def begin_copy(p, *more):
    proc = p.begin("--json", *SLOW, *more)
    wait_until(lambda: p.source.call("query-migrate").get("status") == "active", 20, "the copy to begin")
    time.sleep(0.5)
    return proc


def test_ctrl_c_then_a_second_attempt(qemus):
    proc = begin_copy(qemus)
    interrupt(proc)
    check_stayed(qemus, qemus.end(proc), "cancelled")
    wait_until(lambda: qemus.destination.proc.poll() is not None, 10, "the destination to give up")
    qemus.renew_destination()
    check_moved(qemus, qemus.migrate())


def test_destination_killed_then_a_second_attempt(qemus):
    proc = begin_copy(qemus)
    qemus.destination.kill()
    run = qemus.end(proc)
    check_stayed(qemus, run, "failed")
    assert "destination's QEMU ended" in run.json["reason"] and run.json["vm"]["destination"] == "gone"
    qemus.renew_destination()
    check_moved(qemus, qemus.migrate())


def test_source_killed(qemus):
    proc = begin_copy(qemus)
    qemus.source.kill()
    run = qemus.end(proc)
    assert run.status == 1 and "the source's QEMU ended in mid-copy" in run.json["reason"]
    assert run.json["vm"]["source"] == "gone" and "the VM with it" in run.json["state"]


def test_timeout(qemus):
    run = qemus.migrate(*SLOW, "--timeout", "2")
    check_stayed(qemus, run, "failed")
    assert "within --timeout 2" in run.json["reason"]


def test_destination_dies_of_the_vms_state(tmp_path):
    """The VM has a device that it lacks: it refuses the state, when the source has completed already."""
    p = realqemu.RealPair(tmp_path, "-device", "virtio-rng-pci,addr=5")
    try:
        run = p.migrate()
        assert run.status == 1, run.err
        assert "the destination's QEMU ended" in run.json["reason"]
        # QEMU itself notices it or not, by how much of the stream was unread.
        assert run.json["state"] in ("the VM runs at the source again", "the VM runs at the source, as before")
        assert run.json["vm"] == {"source": "running", "destination": "gone"}
        assert p.source.status() == "running" and p.source.computes()
        p.renew_destination("-device", "virtio-rng-pci,addr=5")
        check_moved(p, p.migrate())
    finally:
        p.close()


def test_memory_that_is_not_shared(qemus, tmp_path):
    qemus.destination.close()
    qemus.destination = qemus.add(realqemu.Qemu(tmp_path, "dst", "-incoming", "defer", share="off"))
    run = qemus.migrate()
    assert run.status == 1 and 'destination: guest memory "mem" is not shared' in run.json["reason"]
    assert qemus.source.call("query-migrate") == {}


def test_one_qemu_for_both(qemus):
    qemus.source.sock.shutdown(socket.SHUT_RDWR)
    qemus.dst = pathlib.Path(qemus.source.own)
    run = qemus.migrate()
    assert run.status == 1 and "lead to the same QEMU" in run.json["reason"]


def test_nothing_to_connect_to(qemus, tmp_path):
    qemus.destination.call("migrate-incoming", uri=f"unix:{tmp_path}/elsewhere")
    run = qemus.migrate()
    check_stayed(qemus, run, "failed")
    assert "No such file or directory" in run.json["reason"] or "Connection refused" in run.json["reason"]
