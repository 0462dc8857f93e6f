"""shell: a person enters the lab: a guest on A behind godwitd, B ready for it, and a root shell."""

import os
import subprocess

from gwlab import hosts, paths, vms
from gwlab.backends import Godwitd

WELCOME = """
This is the lab. Host A ({a_vf}) runs the guest behind godwitd, host B ({b_vf}) waits for it.
  on A CMD, on B CMD, on peer CMD      run CMD there (on A ip link; on B ls /run/godwit/vm1)
  guest CMD                            run CMD in the guest (guest ip addr; guest ping -c 3 192.0.2.1)
  on peer busybox ping 192.0.2.2       reach the guest from the wire
  pkill -USR1 godwitd                  state and counters, at the end of {logs}/godwitd-*.log
  godwit migrate --qmp {a_qmp} --to-qmp {b_qmp} --uri {uri} {name}
  dmesg | grep DMAR                    what the IOMMU complains about
Leave with `exit`: everything ends.
"""


def play(stage):
    """Set the table, and let the person play."""
    here = stage.start_guest(stage.site.a, Godwitd)
    there = stage.await_guest(stage.site.b, Godwitd)
    stage.wait_up(here)
    here.vm.agent.close()  # for the `guest` command: one client at a time
    print(WELCOME.format(a_vf=stage.site.a.vf, b_vf=stage.site.b.vf, logs=stage.out, name=vms.NAME,
                         a_qmp=here.vm.operator_qmp, b_qmp=there.vm.operator_qmp, uri=there.vm.uri), flush=True)
    tools = f"{paths.LAB}/l1:{paths.program('godwit', 'GODWIT').parent}"
    subprocess.run(["bash", "--norc", "-i"], check=False, env=dict(
        os.environ, PS1="lab# ", TERM=os.environ.get("LAB_TERM", "dumb"), PATH=f"{tools}:{os.environ['PATH']}"))
    stage.say(f"leaving; the switch last saw the guest on {stage.site.switch_port_of(hosts.GUEST_MAC)}")
