"""The measuring stations notice each kind of fault, by number and not one more: a wire spoils chosen frames."""

import json
import signal
import time

import pytest
from badwire import BadWire
from machines import end
from place import Peer, popen, run

MACS = {"peer": "52:54:00:60:d1:01", "guest": "52:54:00:60:d1:02"}
LOST = list(range(300, 311)) + [500]
FAULTS = {seq: "lose" for seq in LOST} | {600: "repeat", 601: "repeat", 700: "delay", 800: "spoil"}
CORRUPT = 800


@pytest.fixture
def ends(place):
    """Two stations' namespaces; "left" and "right" are this side's ends of their cables."""
    stations = {"peer": Peer(), "guest": Peer()}
    for (name, where), near in zip(stations.items(), ("left", "right")):
        run("ip", "link", "add", near, "type", "veth", "peer", "name", "wire", "netns", where.anchor.pid,
            "address", MACS[name])
        for command in (("ethtool", "-K", near, "tx", "off"), ("ip", "link", "set", near, "up")):
            run(*command)
        where.run("ethtool", "-K", "wire", "tx", "off", "gso", "off", "tso", "off")
        where.run("ip", "link", "set", "wire", "up")
        where.run("ip", "addr", "add", "10.1.1.1/24" if name == "peer" else "10.1.1.2/24", "dev", "wire")
    yield stations
    for where, near in zip(stations.values(), ("left", "right")):
        run("ip", "link", "del", near, check=False)
        where.anchor.kill()
        where.anchor.wait()


def _traffic(ends, directory, gwtraffic, faults):
    """Two seconds of frames over a wire with @p faults. Returns (peer's result, guest's result)."""
    wire = BadWire("left", "right", faults)
    common = ["--iface", "wire", "--rate", "600", "--run", "77", "--tcp-mbit", "2"]
    command = {"guest": [*common, "--peer-mac", MACS["peer"]],
               "peer": [*common, "--guest-mac", MACS["guest"], "--tcp-to", "10.1.1.2"]}
    processes = {}
    try:
        for name in ("guest", "peer"):
            processes[name] = popen(*ends[name].command(gwtraffic, name, *command[name], "--out",
                                                        directory / f"{name}.json"), log=directory / f"{name}.log")
            time.sleep(0.2)
        time.sleep(2)
        processes["guest"].send_signal(signal.SIGUSR1)
        assert end(processes["peer"], timeout_s=20) == 0
        assert end(processes["guest"]) == 0
    finally:
        for process in processes.values():
            end(process, signal.SIGKILL)
        wire.close()
    return [json.loads((directory / f"{name}.json").read_text()) for name in ("peer", "guest")]


def _holes(missing):
    return [seq for first, last, *_ in missing for seq in range(first, last + 1)]


def test_a_good_wire_has_no_faults(ends, tmp_path, gwtraffic):
    peer, guest = _traffic(ends, tmp_path, gwtraffic, {})
    for got in (guest, peer["from_guest"]):
        assert (got["missing"], got["duplicated"], got["reordered"], got["corrupt"]) == ([], 0, 0, 0)
    assert guest["highest"] == peer["to_guest"]["sent"] > 1000
    assert peer["from_guest"]["highest"] == guest["sent"] > 1000
    for one, other in ((peer, guest), (guest, peer)):
        assert one["tcp"]["tx"]["digest"] == other["tcp"]["rx"]["digest"] and one["tcp"]["tx"]["bytes"] > 100_000


@pytest.mark.parametrize("came_in", ["left", "right"])
def test_each_fault_is_noticed(ends, tmp_path, gwtraffic, came_in):
    peer, guest = _traffic(ends, tmp_path, gwtraffic, {(came_in, seq): fault for seq, fault in FAULTS.items()})
    spoiled, whole = (guest, peer["from_guest"]) if came_in == "left" else (peer["from_guest"], guest)
    assert _holes(spoiled["missing"]) == sorted(LOST + [CORRUPT])
    assert [seq for seq, _ in spoiled["duplicates"]] == [600, 601] and spoiled["duplicated"] == 2
    assert [seq for seq, _ in spoiled["late"]] == [700] and spoiled["reordered"] == 1
    assert spoiled["corrupt"] == 1
    assert (whole["missing"], whole["duplicated"], whole["reordered"], whole["corrupt"]) == ([], 0, 0, 0)
