"""Fixtures of the end-to-end tests: the place, a guest's kernel and files, a stage that cleans up after each test."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "lab")]

from gwlab import image as lab_image  # noqa: E402  (the path above has to come first)
from machines import BACKEND, GODWIT, GODWITD  # noqa: E402
from place import Place, PlaceError, enter_own_namespaces  # noqa: E402
from stage import Stage  # noqa: E402

OUT = ROOT / "build/e2e"
GWTRAFFIC = ROOT / "build/lab/traffic/gwtraffic"


@pytest.fixture(scope="session")
def gwtraffic():
    """The program that measures, built."""
    subprocess.run(["make", "-s", "-C", ROOT / "lab/traffic"], check=True)
    return GWTRAFFIC


def _guest(name, vmlinuz, modules, gwtraffic):
    """(vmlinuz, initramfs) of a guest with the kernel @p vmlinuz, untouched, and a few files of ours."""
    OUT.mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "lab/guest/mkguest", "--modules", modules, "--out", OUT / name, "--gwtraffic", gwtraffic,
                    "--with", "8021q"], check=True)
    return vmlinuz, OUT / name


@pytest.fixture(scope="session")
def kernel(gwtraffic):
    """(vmlinuz, initramfs) of the usual guest: Debian 12's cloud kernel, or that of the release this machine runs."""
    directory = pathlib.Path(subprocess.run([ROOT / "lab/guest/fetch-kernel"], check=True, stdout=subprocess.PIPE,
                                            text=True).stdout.strip())
    return _guest("guest.img", directory / "vmlinuz", directory / "modules", gwtraffic)


@pytest.fixture(scope="session")
def image():
    """The lab's Debian 13 image, built when it is not cached; without what it takes, the test is skipped."""
    try:
        return lab_image.ensure()
    except lab_image.ImageError as error:
        pytest.skip(f"no Debian 13 image: {error}")


@pytest.fixture(scope="session")
def kernel13(image, gwtraffic):
    """(vmlinuz, initramfs) of a guest with Debian 13's ordinary kernel."""
    version, vmlinuz = lab_image.kernel(image)
    return _guest("guest13.img", vmlinuz, image / "lib/modules" / version, gwtraffic)


@pytest.fixture
def kernels(request):
    """A guest by the name of its kernel, built when it is asked for."""
    return lambda name: request.getfixturevalue({"machine": "kernel", "image": "kernel13"}[name])


@pytest.fixture(scope="session")
def place(request, kernel):
    """
    The bridge and its ports, in namespaces that vanish with this process. What comes from Debian's mirrors is fetched
    before: from inside they cannot be reached.
    """
    if any({"image", "kernels"} & set(item.fixturenames) for item in request.session.items):
        with contextlib.suppress(pytest.skip.Exception):
            request.getfixturevalue("image")
    if BACKEND == "godwitd":
        for program in (GODWITD, GODWIT):
            assert os.access(program, os.X_OK), f"{program} is not built"
    try:
        enter_own_namespaces()
        where = Place()
    except PlaceError as error:
        pytest.fail(str(error))
    yield where
    where.peer.anchor.kill()
    where.peer.anchor.wait()


@pytest.fixture
def stage(place, kernel, gwtraffic, request):
    """Starts what a test needs, ends it afterwards, and names the logs when the test failed."""
    directory = OUT / request.node.name.replace("[", "-").replace("]", "")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    on_it = Stage(place, kernel, directory, gwtraffic)
    yield on_it
    on_it.close()
    if getattr(request.node, "failed", False):
        print(f"\nlogs: {directory.relative_to(ROOT)}/")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures know that their test failed; the logs' place becomes part of the report."""
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        item.failed = True
        name = item.name.replace("[", "-").replace("]", "")
        report.sections.append(("logs", f"build/e2e/{name}/"))
