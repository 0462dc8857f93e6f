"""The traffic program's own checks: digest vectors, the frame judge, the account of what came."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_gwtraffic_selftest():
    subprocess.run(["make", "-s", "-C", ROOT / "lab/traffic"], check=True)
    done = subprocess.run([ROOT / "build/lab/traffic/gwtraffic", "selftest"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_wrong_usage_has_its_status():
    for arguments in ([], ["nobody"], ["peer"], ["peer", "--guest-mac", "x"], ["agent"]):
        done = subprocess.run([ROOT / "build/lab/traffic/gwtraffic", *arguments], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 2 and done.stderr, arguments
