"""Guests of two kernels: plain, with a VLAN sub-interface, and with nothing but IPv6."""

import time

import pytest
from gwlab.guest import GUEST_MAC
from place import PEER_IP6
from stage import BOOT_TIMEOUT_S, GENTLE, lossless
from tagwire import vlan_at_peer

SECONDS = 2
KERNELS = ["machine", "image"]
VLAN = 42
VLAN_IPS = ("198.51.100.1", "198.51.100.2")
VLAN_MAC = "52:54:00:60:d0:03"
# What the guest makes of the prefix fd60::/64 and its MAC address by itself.
OWN_IP6 = "fd60::5054:ff:fe60:d001"


def _passes(stage, vm, name, **how):
    """Frames and TCP pass both ways without a loss."""
    traffic = stage.traffic(vm, name, **GENTLE, **how)
    time.sleep(SECONDS)
    raw = traffic.stop(vm.agent)
    lossless(raw)
    return raw


@pytest.mark.parametrize("name", KERNELS)
def test_plain_and_vlan(stage, kernels, name):
    """Plain frames, then the same with a tag: 4 bytes longer, up to 1,518; then the driver is unloaded and loaded."""
    _, vm = stage.guest(kernel=kernels(name))
    stage.check_reached_by_peer()
    _passes(stage, vm, "plain")
    with vlan_at_peer(stage.place, VLAN, VLAN_MAC, f"{VLAN_IPS[0]}/24") as at_peer:
        vm.agent.sh(f"ip link add link eth0 name eth0.{VLAN} type vlan id {VLAN} && "
                    f"ip addr add {VLAN_IPS[1]}/24 dev eth0.{VLAN} && ip link set eth0.{VLAN} up")
        stage.place.peer.run("busybox", "ping", "-c", "2", "-W", "2", "-s", "1472", VLAN_IPS[1])
        _passes(stage, vm, "vlan", peer_iface=at_peer, peer_mac=VLAN_MAC, guest_iface=f"eth0.{VLAN}",
                guest_ip=VLAN_IPS[1])
    vm.agent.sh("gw-reload 0.2", timeout_s=60)
    stage.check_reaches_peer(vm)
    stage.check_reached_by_peer()


@pytest.mark.parametrize("name", KERNELS)
def test_ipv6_only(stage, kernels, name):
    """No IPv4 address anywhere; the guest makes its own from a router's advertisement, which is multicast."""
    stage.at_peer("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file", "--port=0",
                  "--interface=wire", "--bind-interfaces", "--log-facility=-", "--leasefile-ro", "--enable-ra",
                  "--ra-param=wire,4,60", "--dhcp-range=fd60::,ra-only", log="dnsmasq.log")
    backend = stage.backend("A")
    vm = stage.vm("vm-A", backend, kernel=kernels(name), ip="", ip6="")
    vm.agent.wait_up(BOOT_TIMEOUT_S)
    vm.agent.sh(f"for i in $(seq 40); do ip -6 addr show dev eth0 | grep -q {OWN_IP6} && exit; sleep 0.5; done; exit 1")
    assert "inet " not in vm.agent.sh("ip addr show dev eth0")
    vm.agent.sh(f"ping -6 -c 2 -W 5 {PEER_IP6}")
    stage.place.peer.run("busybox", "ping", "-6", "-c", "2", "-W", "5", OWN_IP6)
    _passes(stage, vm, "ipv6", guest_ip=OWN_IP6)
    assert backend.alive() and GUEST_MAC in vm.agent.sh("ip link show dev eth0")
