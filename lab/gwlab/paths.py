"""paths: where things are, on the machine and inside the lab VM alike."""

import os
import pathlib

# The tree is found from this file, so that the same code runs from any checkout, and in L1 from
# its read-only mount of that checkout.
TREE = pathlib.Path(__file__).resolve().parents[2]
LAB = TREE / "lab"
BUILD = TREE / "build"

# Inside the image and inside L1 the tree and the output directory are always here.
IN_TREE = pathlib.PurePosixPath("/godwit/src")
IN_OUT = pathlib.PurePosixPath("/godwit/out")

# The product built in the image (DPDK 24.11), as seen from the machine and from inside.
IMAGE_BUILD = BUILD / "image"


def cache_dir():
    """Directory for what outlives a build: the lab image and what was found out about the machine."""
    return pathlib.Path(os.environ.get("GODWIT_CACHE", "/var/cache/godwit"))


def program(name, env):
    """
    Path of one of the product's programs as seen in L1; @p env overrides it.
    Raises FileNotFoundError, saying what to build, when it is not there.
    """
    default = TREE / "build/image" / {"godwitd": "src/daemon/godwitd", "godwit": "cli/godwit"}[name]
    path = pathlib.Path(os.environ.get(env, default))
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: build the product in the image (lab/run does)")
    return path
