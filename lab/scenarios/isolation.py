"""isolation: A and B are two hosts: neither sees the other's sockets, network cards or VF's IOMMU group."""

from gwlab import hosts
from gwlab.backends import Godwitd


def play(stage):
    """What one host has, the other does not even see."""
    a, b = stage.site.a, stage.site.b
    stage.own(Godwitd(a, stage.out))
    stage.expect(a.run("ls", Godwitd.socket).strip() == Godwitd.socket, "A does not see its own socket")
    stage.expect(b.run("ls", Godwitd.socket, check=False) == "", "B sees A's socket")
    for host, other in ((a, b), (b, a)):
        devices = host.run("ls", "/sys/class/net").split()
        stage.expect(host.pf in devices and other.pf not in devices, f"{host.name} sees the devices {devices}")
    groups = [hosts.iommu_group(host.vf) for host in (a, b)]
    stage.expect(groups[0] != groups[1], f"both VFs are in IOMMU group {groups[0]}")
    stage.say(f"A has {a.pf}, VF {a.vf}, IOMMU group {groups[0]}; B has {b.pf}, VF {b.vf}, IOMMU group {groups[1]}")
