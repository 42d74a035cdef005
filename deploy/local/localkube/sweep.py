"""Finding and clearing what belongs to an instance that is gone.

What a run leaves is told by names only: processes by the marker in their environment or by their
cgroup, network namespaces, links and cgroups by the instance's id, mounts by its state directory.
So a run that was killed at any instruction is cleared by the next one, and a living neighbour is
not touched.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from . import cgroups, host, instance, limits, net, procs
from .instance import ID_PATTERN, Instance

CORE = ("etcd", "apiserver")


@dataclass
class Leftovers:
    """What of one instance exists on this machine right now."""

    processes: list[int] = field(default_factory=list)
    cgroups: list[str] = field(default_factory=list)
    netns: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any((self.processes, self.cgroups, self.netns, self.links, self.mounts))

    def describe(self) -> str:
        parts = [f"{len(v)} {k}" for k, v in vars(self).items() if v]
        return ", ".join(parts) or "nothing"


def of(id_: str, state: Optional[str]) -> Leftovers:
    prefix = f"sluice-{id_}-n"
    groups = sorted(cgroups.named(prefix))
    pids = set(procs.marked(id_))
    for group in groups:
        pids |= set(cgroups.processes(group))
    return Leftovers(
        sorted(pids),
        groups,
        [n for n in net.namespaces() if n.startswith(prefix)],
        [l for l in net.links() if l.startswith(f"slk{id_}")],
        _mounts_under(state) if state else [],
    )


def _mounts_under(state: str) -> list[str]:
    points = [
        line.split()[4].encode().decode("unicode_escape")
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    return [p for p in points if p.startswith(state + "/")]


def clear(id_: str, state: Optional[str]) -> Leftovers:
    """Ends and removes everything of one instance, its record last. Returns what there was.

    The caller holds the registry lock.
    """
    found = of(id_, state)

    def living() -> dict:
        alive = dict(procs.marked(id_))
        for group in found.cgroups:
            alive.update(cgroups.processes(group))
        return {p: 1 for p in alive if instance.process_start(p) is not None}

    procs.kill_all(living, f"the processes of cluster {id_}")
    for point in reversed(_mounts_under(state) if state else []):
        subprocess.run(
            ["umount", "-l", point],
            check=False,
            capture_output=True,
            timeout=limits.COMMAND_DEADLINE,
        )
    for name in found.netns:
        net.ip("netns", "delete", name, check=False)
    for link in found.links:  # removing a veth end removes its peer: some are gone by now
        net.ip("link", "delete", link, check=False)
    for group in found.cgroups:
        cgroups.remove(group)
    if state and (Path(state) / instance.STATE_MARKER).exists():
        empty_state(Path(state))
        (Path(state) / instance.STATE_MARKER).unlink()
    instance.release(id_)
    host.restore()
    return found


def empty_state(state: Path) -> None:
    """Removes what a cluster wrote into its state directory, the logs aside."""
    for child in ("etcd", "nodes", "run", "pki", "tokens"):
        shutil.rmtree(state / child, ignore_errors=True)
    for file in ("kubeconfig", "env.json", "audit-policy.yaml"):
        (state / file).unlink(missing_ok=True)


def is_living(i: Instance) -> bool:
    """Whether somebody still stands behind an instance (see the README for the rule)."""
    if not i.complete:
        return instance.holder_alive(i.starter_pid, i.starter_start)
    if i.owner_pid:
        return instance.holder_alive(i.owner_pid, i.owner_start)
    return any(procs.pid_of(i, name) is not None for name in CORE)


def dead_ids() -> dict[str, Optional[Instance]]:
    """Ids seen anywhere on this machine that nobody stands behind, with their record if any."""
    known = instance.records()
    ids = set(known) | set(procs.marked().values())
    for name in cgroups.named("sluice-") | set(net.namespaces()):
        if match := re.fullmatch(rf"sluice-({ID_PATTERN})-n\d+", name):
            ids.add(match[1])
    for link in net.links():
        if match := re.fullmatch(rf"slk({ID_PATTERN})(v\d+)?", link):
            ids.add(match[1])
    return {
        id_: known.get(id_) for id_ in sorted(ids) if id_ not in known or not is_living(known[id_])
    }


def sweep() -> dict[str, Leftovers]:
    """Clears every dead instance. Serialised over the machine."""
    with instance.registry_lock():
        return {
            id_: clear(id_, record.state if record else None) for id_, record in dead_ids().items()
        }


def down(state: Path) -> Leftovers:
    """Ends the instance of a state directory, living or not; without one it does nothing."""
    with instance.registry_lock():
        return clear(instance.id_of(state), str(state.resolve()))
