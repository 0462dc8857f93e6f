"""The main job: a running guest moves from host A to host B and back, under load."""

import json
import time

import pytest
from gwlab import report
from gwlab.guest import GUEST_MAC
from machines import BACKEND
from stage import SETTLE_S, judged

BASELINE_S = 5
TCP_BYTES_MIN = 100_000_000
TCP_TIMEOUT_S = 60


def _move(stage, how, source, destination, names):
    """Move the guest under load. Returns (migration with its hosts' names, (before, after) snapshots)."""
    source.agent.mark()
    before = source.agent.events()
    migration = how(source, destination) | dict(zip(("from", "to"), names))
    time.sleep(SETTLE_S)
    return migration, (before, destination.agent.events())


def _wait_for_bytes(traffic, count):
    """Let the TCP stream run until it has carried @p count bytes each way."""
    deadline = time.monotonic() + TCP_TIMEOUT_S
    while min(traffic.progress()["tcp"].values()) < count:
        assert time.monotonic() < deadline, f"the TCP stream is too slow: {traffic.progress()}"
        time.sleep(0.5)


def _there_and_back(stage, how, tcp_bytes=0):
    backend_a, vm_a = stage.guest("A")
    traffic = stage.traffic(vm_a)
    time.sleep(BASELINE_S)

    backend_b, vm_b = stage.arrival("B")
    there = _move(stage, how, vm_a, vm_b, ("A", "B"))
    assert stage.place.learned_at(GUEST_MAC) == "B"
    assert backend_a.alive() and backend_b.alive()
    vm_a.close()
    backend_a.close()

    _, vm_a2 = stage.arrival("A", "vm-A2")
    back = _move(stage, how, vm_b, vm_a2, ("B", "A"))
    assert stage.place.learned_at(GUEST_MAC) == "A"
    _wait_for_bytes(traffic, tcp_bytes)
    raw = traffic.stop(vm_a2.agent)
    doc = report.document({"accel": "tcg"}, report.make_runs(raw, *zip(there, back), limits=report.UNTIMED))
    report.write(stage.directory / "report.json", doc)
    print(report.table(doc))
    judged(raw, *zip(there, back))
    return raw


@pytest.mark.skipif(BACKEND != "godwitd", reason="the tests run on testpmd: godwit migrates godwitd's guests")
def test_there_and_back_with_godwit_migrate(stage):
    raw = _there_and_back(stage, stage.godwit_migrate, TCP_BYTES_MIN)
    for way in (raw["peer"]["tcp"]["rx"], raw["guest"]["tcp"]["rx"]):
        assert way["bytes"] >= TCP_BYTES_MIN, json.dumps(way)


def test_there_and_back_with_plain_qmp(stage):
    _there_and_back(stage, stage.plain_migrate)
