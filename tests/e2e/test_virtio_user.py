"""DPDK's virtio-user as the front-end, in each of its ways to use a ring, one after the other: every frame comes back."""

import shutil
import signal
import time

import pytest
from frontends import IN_ORDER, MRG_RXBUF, Echo, VirtioUser, all_came_back
from machines import BACKEND, ROOT, Backend

pytestmark = pytest.mark.skipif(BACKEND != "godwitd", reason="the tests run on testpmd: it is the front-end here")

SECONDS = 1
FRAMES_MIN = 300

# (name, options of net_virtio_user, arguments of testpmd)
LAYOUTS = [
    ("mergeable", "mrg_rxbuf=1,in_order=0", ()),
    ("mergeable-small", "mrg_rxbuf=1,in_order=0", ("--mbuf-size=512", "--enable-scatter")),
    ("mergeable-inorder", "mrg_rxbuf=1,in_order=1", ()),
    ("single", "mrg_rxbuf=0,in_order=0", ()),
    ("single-inorder", "mrg_rxbuf=0,in_order=1", ()),
    ("single-vector", "mrg_rxbuf=0,in_order=0,vectorized=1", ()),
    ("mergeable-vector", "mrg_rxbuf=1,in_order=0,vectorized=1", ()),
    ("64", "mrg_rxbuf=1,in_order=0,queue_size=64", ()),
    ("1024-vector", "mrg_rxbuf=0,in_order=0,vectorized=1,queue_size=1024", ()),
    ("packed-asked-for", "packed_vq=1,cq=1", ()),
    ("again", "mrg_rxbuf=1,in_order=0", ()),
]


def _path(options, features):
    """How the driver should receive with @p options, once @p features are agreed on."""
    if features >> IN_ORDER & 1:
        return "inorder"
    if features >> MRG_RXBUF & 1:
        return "mergeable buffer"
    return "vectorized" if "vectorized=1" in options else "standard"


@pytest.fixture(scope="module")
def backend(place):
    """One godwitd for all layouts, one after the other: each finds what the one before left."""
    directory = ROOT / "build/e2e/virtio-user"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    served = Backend("A", place, directory)
    served.serves()
    yield served
    assert served.close() == 0
    assert not served.socket.exists()


def _echoes(stage):
    """Numbered frames from the peer all come back."""
    echo = Echo(stage.place, stage.gwtraffic, stage.directory)
    stage.open.append(echo)
    time.sleep(SECONDS)
    all_came_back(echo.stop(), FRAMES_MIN)


@pytest.mark.parametrize("options, args", [row[1:] for row in LAYOUTS], ids=[row[0] for row in LAYOUTS])
def test_echo(stage, backend, options, args):
    """Frames are echoed, each one, by the code of the driver that is meant; then testpmd is killed without a warning."""
    front = VirtioUser("testpmd", stage.directory, backend.socket, options, args)
    stage.open.append(front)
    front.start()
    _echoes(stage)
    offered, agreed = front.features()
    for bit, option in ((MRG_RXBUF, "mrg_rxbuf"), (IN_ORDER, "in_order")):
        asked = f"{option}=0" not in options
        assert agreed >> bit & 1 == (offered >> bit & asked), f"{option}: offered {offered:x}, agreed {agreed:x}"
    assert front.receive_path() == _path(options, agreed)
    front.close(signal.SIGKILL)
    backend.left_nothing()
    assert backend.alive()


def test_it_listens(stage):
    """Server mode: godwitd --client connects. Each side is killed and started again, and finds the other one there."""
    path = stage.directory / "listens.sock"

    def listening(name):
        front = VirtioUser(name, stage.directory, path, "server=1,mrg_rxbuf=1,in_order=0")
        stage.open.append(front)
        return front

    front = listening("first")
    backend = stage.backend("A", "--client", socket=path, wait=False)
    front.start()
    _echoes(stage)
    # DPDK then says that its rings begin at 0, which they do not: godwitd goes by the used rings.
    backend.close(signal.SIGKILL)
    again = stage.backend("A", "--client", socket=path, wait=False, log=stage.directory / "godwitd-again.log")
    assert again.said("transmit ring starts", 30)
    _echoes(stage)
    front.close(signal.SIGKILL)
    path.unlink()
    listening("again").start()
    _echoes(stage)
    assert again.close() == 0
