"""accel: does a stock kernel really boot under KVM on this machine? Found out by trying, once a boot."""

import os
import pathlib
import subprocess
import time

from . import image as lab_image
from . import paths

# Without a root file system this is the last thing a kernel that booted says.
MARKER = b"VFS: Unable to mount root"
TRY_SECONDS = 10


def _try_kvm(image, workdir):
    """Boot @p image's kernel under KVM; True when it got as far as looking for its root."""
    version, _ = lab_image.kernel(image)
    log = pathlib.Path(workdir) / "kvm-try.log"
    log.write_bytes(b"")
    qemu = subprocess.Popen(
        [str(paths.LAB / "chroot"), str(image), str(workdir), "qemu-system-x86_64", "-nodefaults",
         "-no-user-config", "-no-reboot", "-display", "none", "-machine", "q35", "-accel", "kvm",
         "-cpu", "host", "-m", "256", "-kernel", f"/boot/vmlinuz-{version}",
         "-append", "console=ttyS0 panic=-1", "-serial", "file:/godwit/out/kvm-try.log"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + TRY_SECONDS
    try:
        while time.monotonic() < deadline:
            if MARKER in log.read_bytes():
                return True
            if qemu.poll() is not None:
                return MARKER in log.read_bytes()
            time.sleep(0.1)
        return False
    finally:
        qemu.kill()
        qemu.wait()


def accel(image, workdir):
    """
    "kvm" or "tcg" for L1. @p workdir: an existing directory for the attempt's log.
    The answer is kept until the machine boots again; GODWIT_LAB_ACCEL overrides it.
    """
    forced = os.environ.get("GODWIT_LAB_ACCEL")
    if forced:
        return forced
    if not os.path.exists("/dev/kvm"):
        return "tcg"
    boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    answer = paths.cache_dir() / f"accel-{boot_id}"
    if not answer.is_file():
        for stale in paths.cache_dir().glob("accel-*"):
            stale.unlink()
        answer.write_text("kvm" if _try_kvm(image, workdir) else "tcg", encoding="ascii")
    return answer.read_text(encoding="ascii")
