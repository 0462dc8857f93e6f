"""product: what a scenario needs built: Godwit in the image's DPDK, the traffic program, the guest."""

import os
import pathlib
import shutil
import subprocess

from . import image as lab_image
from . import paths


class BuildError(Exception):
    """A part does not build; the message names the log."""


def _run(command, log, what):
    with open(log, "wb") as out:
        status = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                check=False).returncode
    if status != 0:
        raise BuildError(f"{what} does not build: read {log}")


def build_godwit(image, out):
    """Build the product in the image (its DPDK, its compiler) into build/image, incrementally."""
    paths.IMAGE_BUILD.mkdir(parents=True, exist_ok=True)
    target = paths.IN_TREE / "build/image"
    script = (f"[ -e {target}/build.ninja ] || meson setup -Dtests=false --buildtype=debugoptimized {target} {paths.IN_TREE}; "
              f"ninja -C {target} -j{os.cpu_count()} src/daemon/godwitd cli/godwit")
    _run([str(paths.LAB / "chroot"), str(image), str(out), "sh", "-ec", script], out / "build.log",
         "the product in the lab image")


def build_guest(image, out):
    """gwtraffic, and in @p out the guest: the image's own kernel, untouched, and an initramfs for it."""
    traffic = paths.BUILD / "lab/traffic"
    _run(["make", "-s", "-C", str(paths.LAB / "traffic"), f"OUT={traffic}"], out / "traffic.log",
         "the traffic program")
    version, vmlinuz = lab_image.kernel(image)
    shutil.copy(vmlinuz, out / "guest-vmlinuz")
    _run([str(paths.LAB / "guest/mkguest"), "--modules", str(image / "lib/modules" / version),
          "--busybox", str(image / "bin/busybox"), "--gwtraffic", str(traffic / "gwtraffic"),
          "--out", str(out / "guest.initrd")], out / "guest.log", "the guest's initramfs")


def facts(image):
    """{"dpdk", "qemu"}: versions in @p image, for reports."""
    def ask(*command):
        return subprocess.run(["chroot", str(image), *command], capture_output=True, text=True,
                              check=True).stdout.split()
    return {"dpdk": ask("pkg-config", "--modversion", "libdpdk")[0],
            "qemu": ask("qemu-system-x86_64", "--version")[3]}


def prepare(out, godwit=True):
    """Image, guest and, if @p godwit, the product; logs in @p out. Returns the image's directory."""
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    image = lab_image.ensure()
    build_guest(image, out)
    if godwit:
        build_godwit(image, out)
    return image
