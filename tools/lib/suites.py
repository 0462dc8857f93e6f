"""The table of test suites, in the order in which they run (one at a time: they want both cores)."""

import dataclasses
import shutil
import subprocess


@dataclasses.dataclass(frozen=True)
class Suite:
    """One suite: what it needs, the build it runs on, how long it may take."""

    name: str
    needs: str  # the file or directory that must exist
    kind: str  # "meson": tests of that Meson suite; "pytest": a directory; "lab": all scenarios
    build: str  # the build of tools/build whose programs it tests; "": none
    limit_s: int
    slow: bool = False
    only: tuple = ()  # of a pytest directory: these files; all of it unless given

    def command(self, builddir, junit):
        """The command line, run in the project's root."""
        if self.kind == "meson":
            command = ["/usr/bin/meson", "test", "-C", str(builddir), "--no-rebuild", "--print-errorlogs",
                       "--suite", self.name]
        elif self.kind == "pytest":
            # -p no:cacheprovider: nothing is written next to the sources.
            command = ["/usr/bin/python3", "-m", "pytest", "-v", "-ra", "--durations=5", "-p", "no:cacheprovider",
                       f"--junitxml={junit}", *(f"{self.needs}/{name}" for name in self.only or ("",))]
        else:
            command = [f"./{self.needs}", "all"]
        if self.build == "tsan" and can_disable_aslr():
            command = ["setarch", "-R", *command]
        return command


def can_disable_aslr():
    """Older ThreadSanitizer run-times cannot start under the wide address randomisation of newer kernels."""
    return bool(shutil.which("setarch")) and \
        subprocess.run(["setarch", "-R", "true"], capture_output=True).returncode == 0


SUITES = (
    Suite("unit", "tests/unit", "meson", "asan", 600),
    Suite("tsan", "tests/unit", "meson", "tsan", 600),
    Suite("tools", "tests/tools", "pytest", "", 300),
    Suite("report", "tests/report", "pytest", "", 300),
    Suite("wire", "tests/wire", "pytest", "asan", 900, slow=True),
    # Control and worker at work on real traffic: what a race between them would need.
    Suite("race", "tests/wire", "pytest", "tsan", 600, slow=True,
          only=("test_frames.py", "test_dirty_log.py", "test_qemu_traces.py", "test_protocol.py")),
    Suite("migrate", "tests/migrate", "pytest", "plain", 600, slow=True),
    Suite("e2e", "tests/e2e", "pytest", "plain", 1200, slow=True),
    # The lab builds the product in its image, with that image's DPDK.
    Suite("lab", "lab/run", "lab", "", 2400, slow=True),
)
