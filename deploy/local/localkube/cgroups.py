"""One cgroup per node, so that the kubelets of one machine leave each other's pods alone.

cgroup v1: a folder in every hierarchy (cpuset needs its cpus and mems copied). cgroup v2: a folder
in the one hierarchy, with the controllers a kubelet wants passed down to it.
"""

import os
from pathlib import Path

from . import limits
from .wait import Deadline, until

V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def roots() -> list[tuple[Path, bool]]:
    """Every cgroup hierarchy that is mounted: its folder, and whether it is version 2."""
    found: dict[str, tuple[Path, bool]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        kind, device = right.split()[0], line.split()[2]
        if kind in ("cgroup", "cgroup2"):
            found.setdefault(device, (Path(left.split()[4]), kind == "cgroup2"))
    return list(found.values())


def make(name: str) -> None:
    hierarchies = roots()
    only_v2 = all(v2 for _, v2 in hierarchies)
    for root, v2 in hierarchies:
        folder = root / name
        folder.mkdir(exist_ok=True)
        if v2 and only_v2:
            available = (root / "cgroup.controllers").read_text().split()
            wanted = " ".join("+" + c for c in V2_CONTROLLERS if c in available)
            for where in (root, folder):
                (where / "cgroup.subtree_control").write_text(wanted)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not v2 and (root / file).exists():
                (folder / file).write_text((root / file).read_text())


def named(prefix: str) -> set[str]:
    """Names of the top cgroups with this prefix, over all hierarchies."""
    return {
        entry.name
        for root, _ in roots()
        for entry in root.iterdir()
        if entry.is_dir() and entry.name.startswith(prefix)
    }


def _folders(name: str) -> list[str]:
    """Every folder under the top cgroup `name`, children before parents."""
    return [folder for root, _ in roots() for folder, _, _ in os.walk(root / name, topdown=False)]


def processes(name: str) -> dict[int, str]:
    """Processes anywhere under the top cgroup `name`: pid → folder."""
    found = {}
    for folder in _folders(name):
        try:
            for pid in Path(folder, "cgroup.procs").read_text().split():
                if pid != "0":
                    found[int(pid)] = folder
        except OSError:
            continue
    return found


def remove(name: str) -> None:
    """Removes the top cgroup `name` in every hierarchy; its processes must be gone."""

    def gone() -> bool:
        for folder in _folders(name):
            try:
                os.rmdir(folder)
            except OSError:
                pass
        return not _folders(name)

    until(
        f"removal of cgroup {name}",
        Deadline(limits.CGROUP_DEADLINE),
        gone,
        lambda: f"processes: {processes(name)}",
    )
