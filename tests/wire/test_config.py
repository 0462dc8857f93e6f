"""godwitd's configuration file: INI, keys are the long options, the command line wins, errors name file and line."""

import grp
import os
import subprocess
import time

import pytest

from conftest import DEVICE, MAC
from lib import checks, process
from lib.cli import NULL, fails


def config(place, text):
    path = place / "keep.conf"
    path.write_text(text)
    return str(path)


def test_configuration_file_is_like_options(place, wire):
    path = config(
        place,
        f"""# a comment
; another
[vnic]
name = fromfile
device={DEVICE}
  socket-path   =   {place}/s
mac = {MAC}
group = daemon
memory = 96
log-level = info
incoming = no
""",
    )
    with process.spawn(["--config", path], stderr=subprocess.DEVNULL) as proc:
        deadline = time.monotonic() + process.START_TIMEOUT_S
        while not process.listening(place / "s"):
            assert proc.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        assert os.stat(place / "s").st_gid == grp.getgrnam("daemon").gr_gid
        with checks.connect(str(place / "s")) as fe:
            fe.start()
            checks.both_ways(fe, wire)
        proc.terminate()
        assert proc.wait(process.STOP_TIMEOUT_S) == 0


@pytest.mark.parametrize("order", ["first", "last"])
def test_command_line_wins(place, order):
    path = config(place, f"name = fromfile\ndevice = net_nonsense0\nsocket-path = {place}/never\n")
    options = ["--device", NULL, "--socket-path", str(place / "s"), "--name", "x"]
    options = [*options, "--config", path] if order == "last" else ["--config", path, *options]
    with process.spawn(options, stderr=subprocess.DEVNULL) as proc:
        deadline = time.monotonic() + process.START_TIMEOUT_S
        while not process.listening(place / "s"):
            assert proc.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        proc.terminate()
        assert proc.wait(process.STOP_TIMEOUT_S) == 0


BAD_CONFIGS = {
    "unknown_key": "name = x\nnonsense = 1\n",
    "no_equals": "name = x\ndevice net_null0\n",
    "empty_value": "name =\n",
    "bad_number": "memory = lots\n",
    "bad_mac": "mac = 1:2\n",
    "bad_boolean": "incoming = perhaps\n",
    "key_not_for_files": "config = other\n",
    "help_as_key": "help = yes\n",
    "dashes": "--name = x\n",
    "binary": "\1\2\n",
    "long_line": "name = " + "x" * 5000 + "\n",
}


@pytest.mark.parametrize("case", sorted(BAD_CONFIGS))
def test_bad_configuration(place, case):
    path = config(place, BAD_CONFIGS[case])
    text = fails(2, "--config", path, "--name", "x", "--device", NULL, "--socket-path", str(place / "s"))
    assert path in text, "the sentence does not name the file"


def test_configuration_error_names_the_line(place):
    path = config(place, "name = x\n\n# fine\nnonsense = 1\n")
    assert f"{path}:4" in fails(2, "--config", path)


def test_configuration_file_missing(place):
    text = fails(1, "--config", str(place / "nothere"))
    assert "nothere" in text


def test_configuration_file_is_a_directory(place):
    (place / "keep").mkdir()
    text = fails(1, "--config", str(place / "keep"), "--name", "x", "--device", NULL, "--socket-path", str(place / "s"))
    assert "keep" in text
