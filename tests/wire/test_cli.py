"""godwitd's command line: right use, wrong use, failures that say one sentence and leave nothing behind."""

import grp
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from conftest import DEVICE, MAC
from lib import checks, process
from lib.cli import NULL, complaint, fails
from lib import messages as m

# --- wrong usage: status 2 ------------------------------------------------------------------

USAGE = {
    "nothing": [],
    "no_device": ["--name", "x"],
    "no_name": ["--device", NULL],
    "unknown_option": ["--name", "x", "--device", NULL, "--nonsense"],
    "unknown_short_option": ["-q"],
    "no_argument": ["--name"],
    "stray_argument": ["--name", "x", "--device", NULL, "stray"],
    "empty_name": ["--name", "", "--device", NULL],
    "name_with_slash": ["--name", "a/b", "--device", NULL],
    "name_dot_dot": ["--name", "..", "--device", NULL],
    "name_with_space": ["--name", "a b", "--device", NULL],
    "name_too_long": ["--name", "x" * 300, "--device", NULL],
    "empty_device": ["--name", "x", "--device", ""],
    "fd_and_path": ["--name", "x", "--device", NULL, "--fd", "3", "--socket-path", "/tmp/never"],
    "fd_no_number": ["--name", "x", "--device", NULL, "--fd", "three"],
    "fd_negative": ["--name", "x", "--device", NULL, "--fd", "-1"],
    "memory_no_number": ["--name", "x", "--device", NULL, "--memory", "lots"],
    "memory_0": ["--name", "x", "--device", NULL, "--memory", "0"],
    "memory_negative": ["--name", "x", "--device", NULL, "--memory", "-5"],
    "memory_with_unit": ["--name", "x", "--device", NULL, "--memory", "64M"],
    "memory_huge": ["--name", "x", "--device", NULL, "--memory", "99999999999999999999"],
    "log_level": ["--name", "x", "--device", NULL, "--log-level", "loud"],
    "empty_socket_path": ["--name", "x", "--device", NULL, "--socket-path", ""],
}


@pytest.mark.parametrize("case", sorted(USAGE))
def test_wrong_usage(case):
    fails(2, *USAGE[case])
    assert not os.path.exists("/run/godwit")


BAD_MACS = [
    "52:54:00:aa:bb",
    "52:54:00:aa:bb:01:02",
    "52-54-00-aa-bb-01",
    "525400aabb01",
    "52:54:00:aa:bb:0g",
    "53:54:00:aa:bb:01",
    "ff:ff:ff:ff:ff:ff",
    "00:00:00:00:00:00",
    "52:54:00:aa:bb: 1",
    "52:54:00:aa:bb:+1",
    "52:54:00:aa:-1:01",
    "52:54:00:aa:0x:01",
    "nonsense",
    "",
]


@pytest.mark.parametrize("mac", BAD_MACS)
def test_bad_mac(mac):
    text = fails(2, "--name", "x", "--device", NULL, "--mac", mac)
    assert "mac" in text.lower()


# --- failures: status 1 ---------------------------------------------------------------------


DEVICES = [
    "net_nonsense0",
    "0000:ff:1f.7",
    "net_af_packet0,iface=nothere",
    "net_af_packet0",
    "net_null0,nonsense=1",
    "nonsense",
    ",,,",
]


@pytest.mark.parametrize("device", DEVICES)
def test_unknown_device(place, device):
    text = fails(1, "--name", "x", "--device", device, "--socket-path", str(place / "s"))
    assert device.split(",")[0] in text


def test_socket_of_a_live_process(own_daemon, wire):
    text = fails(1, "--name", "y", "--device", NULL, "--socket-path", own_daemon.socket)
    assert own_daemon.socket in text
    checks.still_serves(own_daemon, wire)


def test_socket_of_a_live_process_that_serves_a_guest(own_daemon, wire):
    """The question whether somebody is there must not cost the guest its connection."""
    with checks.connect(own_daemon.socket) as fe:
        fe.start()
        checks.both_ways(fe, wire)
        fails(1, "--name", "y", "--device", NULL, "--socket-path", own_daemon.socket)
        checks.both_ways(fe, wire)
        fe.stop()


def test_socket_path_is_a_file(place):
    path = place / "keep"
    path.write_text("precious")
    text = fails(1, "--name", "x", "--device", NULL, "--socket-path", str(path))
    assert str(path) in text and path.read_text() == "precious"


def test_socket_path_is_a_directory(place):
    path = place / "keep"
    path.mkdir()
    fails(1, "--name", "x", "--device", NULL, "--socket-path", str(path))
    assert path.is_dir()


def test_socket_path_is_a_dangling_link(place):
    path = place / "keep"
    path.symlink_to(place / "nowhere")
    fails(1, "--name", "x", "--device", NULL, "--socket-path", str(path))
    assert path.is_symlink()


def test_socket_path_below_a_file(place):
    (place / "keep").write_text("")
    fails(1, "--name", "x", "--device", NULL, "--socket-path", str(place / "keep/s"))


def test_socket_path_deep_in_nothing(place):
    fails(1, "--name", "x", "--device", NULL, "--socket-path", str(place / "a/b/c/s"))


@pytest.mark.parametrize("length", [108, 109, 200, 4000])
def test_socket_path_too_long(place, length):
    path = str(place) + "/" + "x" * (length - len(str(place)) - 1)
    text = fails(1, "--name", "x", "--device", NULL, "--socket-path", path)
    assert "107" in text or "long" in text


def test_socket_path_of_the_greatest_length(place):
    path = str(place) + "/" + "x" * (107 - len(str(place)) - 1)
    process.Godwitd(NULL, socket_path=path).stop()


def test_socket_path_not_permitted(place):
    """As another user, in a directory that is root's. DPDK needs no root for net_null0."""
    locked = place / "keep"
    locked.mkdir(mode=0o700)
    os.chmod(place, 0o755)
    for parent in place.parents:
        if not parent.stat().st_mode & stat.S_IXOTH:
            os.chmod(parent, 0o755)
    binary = place / "keep-godwitd"  # the tree itself may be closed to others
    shutil.copy(process.BINARY, binary)
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    text = fails(1, "--name", "x", "--device", NULL, "--socket-path", str(locked / "s"), executable=binary, **nobody)
    assert str(locked) in text and "ermi" in text


def test_unknown_group(place):
    text = fails(1, "--name", "x", "--device", NULL, "--socket-path", str(place / "s"), "--group", "nosuchgroup")
    assert "nosuchgroup" in text


def test_failure_leaves_no_directory(place):
    """The directory that godwitd made for the socket goes when the device fails."""
    fails(1, "--name", "x", "--device", "net_nonsense0", "--socket-path", str(place / "made/s"))


def test_failure_leaves_nothing_at_the_default_place():
    fails(1, "--name", "gone", "--device", "net_nonsense0")
    assert not os.path.exists("/run/godwit/gone")


@pytest.mark.parametrize("cpus", ["nonsense", "4096", "-", "1-", "", "0,,1"])
def test_bad_cpus(place, cpus):
    status, _, err = process.run(["--name", "x", "--device", NULL, "--socket-path", str(place / "s"), "--cpus", cpus])
    assert status in (1, 2), err
    assert complaint(err)


@pytest.mark.parametrize("kind", ["closed", "file", "pipe", "datagram"])
def test_fd_that_is_no_stream_socket(kind):
    files = []
    if kind == "closed":
        number = 900
    elif kind == "file":
        files = [os.open("/dev/null", os.O_RDWR)]
    elif kind == "pipe":
        files = list(os.pipe())
    else:
        files = [s.detach() for s in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)]
    number = files[0] if files else number
    text = fails(1, "--name", "x", "--device", NULL, "--fd", str(number), pass_fds=files)
    assert str(number) in text
    for fd in files:
        os.close(fd)


# --- things it prints -----------------------------------------------------------------------


def test_print_capabilities():
    status, out, err = process.run(["--print-capabilities"])
    assert status == 0 and err == ""
    caps = json.loads(out)
    assert caps["type"] == "net" and isinstance(caps["features"], list)


def test_print_capabilities_ignores_other_options():
    """Spec: vhost-user, Backend program conventions: other options and arguments are ignored."""
    right = (["--name", "x"], ["--fd", "3"], ["--socket-path", "/nonexistent/s"])
    wrong = (["--memory", "lots"], ["--nonsense"], ["stray"])
    for others in right + wrong:
        for args in ([*others, "--print-capabilities"], ["--print-capabilities", *others]):
            status, out, err = process.run(args)
            assert status == 0 and json.loads(out)["type"] == "net", f"{args}: {err}"


def test_version():
    status, out, err = process.run(["--version"])
    assert status == 0 and err == "" and out.startswith("godwitd ") and any(c.isdigit() for c in out)


def test_help():
    status, out, err = process.run(["--help"])
    assert status == 0 and err == ""
    text = "name device socket-path fd mac group config memory cpus incoming log-level print-capabilities version help "
    text += "control-path no-control"
    for option in text.split():
        assert f"--{option}" in out, option


@pytest.mark.parametrize("option", ["--help", "--version", "--print-capabilities"])
def test_output_that_cannot_be_written(option):
    with open("/dev/full", "wb") as full:
        with process.spawn([option], stdout=full, stderr=subprocess.PIPE) as proc:
            proc.communicate(timeout=30)
            assert proc.returncode == 1


# --- the socket -----------------------------------------------------------------------------


def test_socket_mode_and_group(place):
    group = "daemon"
    d = process.Godwitd(NULL, "--group", group, socket_path=place / "s")
    info = os.stat(place / "s")
    assert stat.S_IMODE(info.st_mode) == 0o660
    assert info.st_gid == grp.getgrnam(group).gr_gid
    d.stop()


def test_default_socket_and_its_directory():
    args = ["--name", "atdefault", "--device", NULL, "--group", "daemon"]
    with process.spawn(args, stderr=subprocess.DEVNULL) as proc:
        path = "/run/godwit/atdefault/vhost.sock"
        deadline = time.monotonic() + process.START_TIMEOUT_S
        while not process.listening(path):
            assert proc.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        info = os.stat(os.path.dirname(path))
        assert stat.S_IMODE(info.st_mode) == 0o750
        assert info.st_gid == grp.getgrnam("daemon").gr_gid
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        proc.terminate()
        assert proc.wait(process.STOP_TIMEOUT_S) == 0
    assert not os.path.exists("/run/godwit/atdefault")


def test_default_group_is_kvm(place):
    """Where there is such a group; else the start goes on with a warning."""
    d = process.Godwitd(NULL, socket_path=place / "s")
    try:
        kvm = grp.getgrnam("kvm").gr_gid
        assert os.stat(place / "s").st_gid == kvm
    except KeyError:
        assert "kvm" in d.log()
    d.stop()


def test_dead_socket_is_replaced(place):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place / "s"))
        dead.listen()
    d = process.Godwitd(NULL, socket_path=place / "s")
    checks.connect(d.socket).close()
    d.stop()


def test_socket_of_a_killed_process_is_replaced(place):
    first = process.Godwitd(NULL, socket_path=place / "s")
    first.proc.kill()
    first.proc.wait()
    assert (place / "s").exists()
    second = process.Godwitd(NULL, socket_path=place / "s")
    checks.connect(second.socket).close()
    second.stop()
    first.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ends_by_signal(place, number):
    d = process.Godwitd(NULL, socket_path=place / "s")
    start = time.monotonic()
    d.proc.send_signal(number)
    assert d.proc.wait(process.STOP_TIMEOUT_S) == 0
    assert time.monotonic() - start < 3
    assert not (place / "s").exists()
    d.kill()


def test_ends_while_a_guest_runs(wire):
    """SIGTERM with rings running and frames arriving: a clean end, the front-end sees the socket close."""
    d = process.Godwitd(DEVICE, "--mac", MAC)
    with checks.connect(d.socket) as fe:
        fe.start()
        fe.fill(64)
        checks.both_ways(fe, wire)
        d.stop()
        fe.conn.wait_closed()


def test_two_processes_side_by_side(place):
    one = process.Godwitd(NULL, name="one", socket_path=place / "s1")
    two = process.Godwitd(NULL, name="two", socket_path=place / "s2")
    for d in (one, two):
        checks.connect(d.socket).close()
    one.stop()
    two.stop()


# --- --fd -----------------------------------------------------------------------------------


def test_fd_with_a_connection(wire):
    """The connection is all there is: when it ends, so does the process."""
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    d = process.Godwitd(DEVICE, "--mac", MAC, "--fd", str(theirs.fileno()), pass_fds=[theirs.fileno()])
    theirs.close()
    fe = checks.FrontEnd(None, sock=ours)
    fe.start()
    checks.both_ways(fe, wire)
    fe.stop()
    fe.close()
    assert d.proc.wait(process.STOP_TIMEOUT_S) == 0
    assert not process.SANITIZER.search(d.log()), d.log()
    d.kill()


def test_fd_with_a_listening_socket(place, wire):
    path = place / "keep-socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        d = process.Godwitd(DEVICE, "--mac", MAC, "--fd", str(listener.fileno()), pass_fds=[listener.fileno()])
    d.socket = str(path)
    for _ in range(3):
        checks.still_serves(d, wire)
    d.proc.terminate()
    assert d.proc.wait(process.STOP_TIMEOUT_S) == 0
    assert path.exists(), "a socket that somebody else made was removed"
    d.kill()


def test_incoming_is_announced_at_the_first_start(wire, quiet):
    from lib.wire import ETH_P_RARP, GUEST_MAC

    d = process.Godwitd(DEVICE, "--mac", MAC, "--incoming")
    with checks.connect(d.socket) as fe:
        fe.hello()
        fe.enable()
        assert not wire.poll(ethertypes=(ETH_P_RARP,))
        fe.run()
        assert wire.receive(1, ethertypes=(ETH_P_RARP,))[0][6:12] == GUEST_MAC
        checks.both_ways(fe, wire)
        time.sleep(0.6)
        fe.stop()
        wire.poll(ethertypes=(ETH_P_RARP,))
        fe.run()
        fe.conn.settle()
        time.sleep(0.3)
        assert not wire.poll(ethertypes=(ETH_P_RARP,)), "a start that is no arrival was announced"
    d.stop()


def test_memory_option(place):
    process.Godwitd(NULL, "--memory", "64", socket_path=place / "s").stop()


def test_log_level_error_is_silent(place):
    d = process.Godwitd(NULL, "--log-level", "error", socket_path=place / "s")
    conn = checks.connect(d.socket)
    conn.conn.send(m.GET_FEATURES)
    conn.close()
    text = d.log()
    d.stop()
    assert text == "", text


