"""What /proc says of a process: memory and where it lies, threads, descriptors, processor time."""

import os

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")

# smaps_rollup's names, and ours.
ROLLUP = {"Rss": "rss_kib", "Pss": "pss_kib", "Locked": "locked_kib", "Anonymous": "anonymous_kib",
          "AnonHugePages": "transparent_huge_kib"}
HUGE = ("Private_Hugetlb", "Shared_Hugetlb")
PRIVATE = "Private_Dirty"


def _numbers(lines):
    """The "Name:   123 kB" lines of @p lines as {name: KiB}."""
    found = {}
    for line in lines:
        part = line.split()
        if len(part) == 3 and part[2] == "kB":
            found[part[0].rstrip(":")] = int(part[1])
    return found


def _read(pid, name):
    with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
        return file.read()


def status(pid):
    """/proc/PID/status as {field: text}."""
    return dict(line.split(":\t", 1) for line in _read(pid, "status").splitlines() if ":\t" in line)


def kind(path):
    """What a mapping of @p path (as maps names it, may be empty) belongs to."""
    name = os.path.basename(path)
    if "/dpdk/pmds" in path:
        return "DPDK drivers"
    if name.startswith("librte_"):
        return "DPDK libraries"
    if ".so" in name:
        return "other libraries"
    if path in ("[heap]", "[stack]"):
        return path[1:-1]
    if "nohuge" in path or "hugepages" in path or "rtemap" in path:
        return "DPDK memory"
    if name == "godwitd":
        return "program"
    return "other files" if path.startswith("/") else "anonymous"


def private_by_kind(pid):
    """{kind: KiB} of memory()'s private_kib, largest first."""
    found, at, block = {}, None, []

    def close():
        if at is not None:
            number = _numbers(block)
            found[at] = found.get(at, 0) + number.get(PRIVATE, 0) + number.get("Private_Hugetlb", 0)

    for line in _read(pid, "smaps").splitlines():
        first = line.split(None, 1)[0]
        if first.endswith(":"):
            block.append(line)
            continue
        close()
        part = line.split(None, 5)
        at, block = kind(part[5] if len(part) == 6 else ""), []
    close()
    return dict(sorted(((k, v) for k, v in found.items() if v), key=lambda item: -item[1]))


def memory(pid):
    """{what: KiB}: see ROLLUP; private: pages that it wrote to, so that nobody shares them; huge: huge pages held."""
    number = _numbers(_read(pid, "smaps_rollup").splitlines())
    found = {ours: number.get(theirs, 0) for theirs, ours in ROLLUP.items()}
    found["huge_kib"] = sum(number.get(key, 0) for key in HUGE)
    found["private_kib"] = number.get(PRIVATE, 0) + number.get("Private_Hugetlb", 0)
    return found


def own_kib(pid):
    """Heap, stacks, DPDK's memory: what a leak shows in. Pages of files, read in when first used, are not in it."""
    said = status(pid)
    return sum(int(said[field].split()[0]) for field in ("RssAnon", "RssShmem", "HugetlbPages"))


def threads(pid):
    """The names of its threads."""
    return sorted(_read(pid, f"task/{task}/comm").strip() for task in os.listdir(f"/proc/{pid}/task"))


def descriptors(pid):
    """How many file descriptors it has."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def mappings(pid):
    """How many lines /proc/PID/maps has."""
    return _read(pid, "maps").count("\n")


def cpu_ms(pid):
    """Processor time it has used, user and system, in ms (in steps of the kernel's tick)."""
    field = _read(pid, "stat").rpartition(")")[2].split()
    return (int(field[11]) + int(field[12])) * TICK_MS
