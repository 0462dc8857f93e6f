"""Traffic passes: frames, TCP, ping over IPv4 and IPv6, in the steady state and without a loss."""

import time

from machines import BACKEND
from place import GUEST_IP, GUEST_IP6

SECONDS = 6


def test_steady_traffic_is_lossless(stage):
    backend, vm = stage.guest()
    stage.check_reached_by_peer()
    traffic = stage.traffic(vm)
    time.sleep(SECONDS)
    raw = traffic.stop(vm.agent)
    guest, peer = raw["guest"], raw["peer"]

    assert guest["missing"] == [] and guest["highest"] == peer["to_guest"]["sent"]
    assert peer["from_guest"]["missing"] == [] and peer["from_guest"]["highest"] == guest["sent"]
    for received in (guest, peer["from_guest"]):
        assert (received["duplicated"], received["reordered"], received["corrupt"]) == (0, 0, 0)
    assert guest["sent"] >= 1000 * SECONDS and peer["to_guest"]["sent"] >= 1000 * SECONDS
    assert peer["tcp"]["tx"]["digest"] == guest["tcp"]["rx"]["digest"]
    assert guest["tcp"]["tx"]["digest"] == peer["tcp"]["rx"]["digest"]
    assert min(peer["tcp"]["rx"]["bytes"], guest["tcp"]["rx"]["bytes"]) > 10_000_000
    assert backend.alive()
    if BACKEND == "godwitd":
        assert backend.close() == 0, "godwitd ends with status 0 on SIGTERM"


def test_ipv6_neighbours_are_found(stage):
    """Neighbour discovery is multicast: it passes both ways only if the card takes all of it."""
    _, vm = stage.guest()
    vm.agent.sh("ip -6 neigh flush dev eth0")
    stage.place.peer.run("ip", "neigh", "flush", "dev", "wire")
    vm.agent.sh("ping -6 -c 2 -W 2 fd60::1")
    stage.place.peer.run("ip", "neigh", "flush", "dev", "wire")
    stage.place.peer.run("busybox", "ping", "-c", "2", "-W", "2", GUEST_IP6)
    stage.place.peer.run("busybox", "ping", "-c", "2", "-W", "2", "-s", "1400", GUEST_IP)
