"""refusals: what godwitd says of a device that it cannot have: one sentence, status 1, nothing left behind."""

import subprocess

from gwlab import hosts, paths
from gwlab.backends import Godwitd


def play(stage):
    """A VF in use, one without vfio-pci, the PF itself, a device that is not there."""
    host = stage.site.a
    served = serve(stage, host)
    refuse(stage, host, host.vf, "in use by another process")
    served.close()

    unbind(host.vf)
    refuse(stage, host, host.vf, "is bound to driver none: bind it to vfio-pci")
    hosts.bind_vfio(host.vf)
    refuse(stage, host, host.pf_pci, "is bound to driver igb")
    refuse(stage, host, "0000:7f:00.0", "does not exist")

    serve(stage, host)


def serve(stage, host):
    """godwitd on @p host's VF, which it has when this returns, until the scenario ends."""
    backend = stage.own(Godwitd(host, stage.out))
    stage.expect("waiting" in backend.show(), f"VF {host.vf} cannot be served")
    return backend


def unbind(pci):
    """Take PCI function @p pci away from its driver."""
    hosts.write(f"/sys/bus/pci/devices/{pci}/driver/unbind", pci)


def refuse(stage, host, device, words):
    """Failed unless godwitd refuses @p device on @p host in one sentence that has @p words."""
    command = [paths.program("godwitd", "GODWITD"), "--name", "refused", "--device", device, "--group", "root"]
    done = subprocess.run(host.command(*command), capture_output=True, text=True, timeout=60, check=False)
    said = done.stderr.strip().splitlines()
    stage.say(said[-1] if said else "(nothing was said)")
    stage.expect(done.returncode == 1, f"{device}: status {done.returncode}, not 1")
    stage.expect(len(said) == 1 and words in said[0], f"{device}: not one sentence with '{words}': {said}")
    stage.expect(not host.path("/run/godwit/refused").exists(), f"{device}: its socket's directory was left behind")
