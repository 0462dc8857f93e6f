"""What happens to a guest besides migration: reboot, driver unload, a QEMU that crashes."""

import signal
import time

import pytest


def _answers(stage, vm):
    stage.check_reaches_peer(vm)
    stage.check_reached_by_peer()


@pytest.mark.parametrize("how", ["reboot", "reset"])
def test_guest_starts_again_under_traffic(stage, how):
    """By its own reboot, and by the machine's reset button, which asks nobody."""
    backend, vm = stage.guest()
    traffic = stage.traffic(vm)
    time.sleep(1)
    boot_id = vm.agent.events()["boot_id"]
    if how == "reboot":
        vm.agent.tell("reboot")
    else:
        vm.qmp.command("system_reset")
    time.sleep(1)
    vm.agent.wait_up()
    assert vm.agent.events()["boot_id"] != boot_id
    traffic.close()
    assert backend.alive()
    _answers(stage, vm)
    _lossless(stage, vm)


def test_driver_unload_and_reload_under_traffic(stage):
    backend, vm = stage.guest()
    traffic = stage.traffic(vm)
    for away_s in ("0.2", "0.5", "0"):
        time.sleep(0.5)
        vm.agent.sh(f"gw-reload {away_s}")
    deadline = time.monotonic() + 20
    before = traffic.progress()
    while time.monotonic() < deadline:
        now = traffic.progress()
        if all(now["tcp"][way] > before["tcp"][way] for way in ("to_guest", "from_guest")):
            break
        time.sleep(0.5)
    else:
        raise AssertionError(f"the TCP stream stands still after the reload: {before}, then {now}")
    raw = traffic.stop(vm.agent)
    assert raw["guest"]["reopened"] >= 3
    for received in (raw["guest"], raw["peer"]["from_guest"]):
        assert (received["duplicated"], received["reordered"], received["corrupt"]) == (0, 0, 0)
    for one, other in (("peer", "guest"), ("guest", "peer")):
        assert raw[one]["tcp"]["tx"]["digest"] == raw[other]["tcp"]["rx"]["digest"]
    assert backend.alive()
    _answers(stage, vm)


def test_qemu_is_killed_and_started_again(stage):
    backend, vm = stage.guest()
    traffic = stage.traffic(vm)
    time.sleep(1)
    vm.close(signal.SIGKILL)
    time.sleep(1)
    traffic.close()
    assert backend.alive(), "the back-end waits for the next QEMU"
    again = stage.vm("vm-again", backend)
    again.agent.wait_up()
    _answers(stage, again)
    _lossless(stage, again)


def _lossless(stage, vm):
    """Frames and TCP pass again, and none is lost."""
    traffic = stage.traffic(vm, "again")
    time.sleep(2)
    raw = traffic.stop(vm.agent)
    assert raw["guest"]["missing"] == [] == raw["peer"]["from_guest"]["missing"]
    assert raw["peer"]["tcp"]["tx"]["digest"] == raw["guest"]["tcp"]["rx"]["digest"]
