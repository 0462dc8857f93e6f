"""initramfs: the few files that get L1 from its kernel to its real root (the image over 9p)."""

import lzma
import os
import pathlib
import shutil
import subprocess
import tempfile

# What it takes to mount the image read-only with a tmpfs over it.
MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay"]

INIT = """#!/bin/busybox sh
# L1's first process: mount the image with a tmpfs on top, then become lab/l1/init in it.
busybox mkdir -p /proc /sys /dev /image /over /root
busybox mount -t proc proc /proc
busybox mount -t devtmpfs dev /dev
for module in $(busybox cat /modules/order); do busybox insmod /modules/$module; done
busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro image /image
busybox mount -t tmpfs -o mode=755 over /over
busybox mkdir /over/upper /over/work
busybox mount -t overlay -o lowerdir=/image,upperdir=/over/upper,workdir=/over/work root /root
busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro tree /root/godwit/src
busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=131072 out /root/godwit/out
busybox umount /proc
exec busybox switch_root /root /bin/sh /godwit/src/lab/l1/init
"""


def _module_files(image, version):
    """Paths inside @p image of MODULES and what they need, in loading order, each once."""
    files = []
    for module in MODULES:
        out = subprocess.run(["chroot", str(image), "modprobe", "--show-depends", "-S", version, module],
                             capture_output=True, text=True, check=True).stdout
        for line in out.splitlines():
            kind, _, path = line.partition(" ")
            if kind == "insmod" and path.strip() not in files:
                files.append(path.strip())
    return files


def _unpack_module(image, path, target):
    """Copy one module of @p image to directory @p target, uncompressed. Returns its name there."""
    source = pathlib.Path(str(image) + path)
    data = source.read_bytes()
    if source.suffix == ".xz":
        data = lzma.decompress(data)
        source = source.with_suffix("")
    (target / source.name).write_bytes(data)
    return source.name


def build(image, version, target):
    """
    Write L1's initramfs for kernel @p version of @p image to file @p target (a gzip'ed newc archive).
    Errors: CalledProcessError when the image's tools fail, OSError.
    """
    with tempfile.TemporaryDirectory(prefix="godwit-l1-") as name:
        tree = pathlib.Path(name)
        for directory in ("bin", "modules"):
            (tree / directory).mkdir()
        shutil.copy(image / "bin/busybox", tree / "bin/busybox")
        (tree / "init").write_text(INIT, encoding="utf-8")
        os.chmod(tree / "init", 0o755)
        order = [_unpack_module(image, path, tree / "modules") for path in _module_files(image, version)]
        (tree / "modules/order").write_text("\n".join(order) + "\n", encoding="utf-8")
        with open(target, "wb") as out:
            subprocess.run(f"cd {tree} && find . | {image}/bin/busybox cpio -o -H newc | gzip -1", shell=True,
                           stdout=out, stderr=subprocess.DEVNULL, check=True)
