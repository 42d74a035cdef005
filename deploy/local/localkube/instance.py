"""Which instances exist on this machine, who owns each, and which names and addresses are whose.

An instance is known by six hexadecimal digits of its state directory's path. Before it makes
anything it takes a record in the registry directory, and the record goes last: so whatever bears an
id on this machine (process, network namespace, link, cgroup, mount) and has no record, or a record
of somebody who is gone, is a leftover.
"""

import fcntl
import hashlib
import json
import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Iterator, Optional

from . import limits
from .wait import Deadline, LocalClusterError, until

REGISTRY = Path("/run/sluice-local")
ID_PATTERN = r"[0-9a-f]{6}"
ENV_MARKER = "SLUICE_LOCAL_ID"  # in the environment of every process an instance starts
STATE_MARKER = ".sluice-local"  # in a state directory: its contents are ours to remove


def process_start(pid: int) -> Optional[int]:
    """Start of a living process in clock ticks since boot; None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True)
class Instance:
    id: str
    slot: int
    state: str
    owner_pid: int = 0  # 0: nobody; lives until `down` or until its core processes are gone
    owner_start: int = 0  # tells a reused process id apart
    starter_pid: int = 0  # the `up` that makes it; stands behind it until it is complete
    starter_start: int = 0
    complete: bool = False

    @property
    def state_dir(self) -> Path:
        return Path(self.state)

    # Names. Everything the kernel knows of an instance bears its id.
    @property
    def bridge(self) -> str:
        return f"slk{self.id}"

    def node(self, index: int) -> str:
        return f"node-{index}"

    def netns(self, index: int) -> str:
        return f"sluice-{self.id}-n{index}"

    def veth(self, index: int) -> str:
        return f"slk{self.id}v{index}"

    def cgroup(self, index: int) -> str:
        return f"sluice-{self.id}-n{index}"

    # Addresses.
    @property
    def loopback(self) -> str:
        return f"127.77.{self.slot}.1"

    @property
    def net(self) -> str:
        return f"10.{limits.FIRST_SUBNET + self.slot}"

    @property
    def bridge_ip(self) -> str:
        return f"{self.net}.0.1"

    def node_ip(self, index: int) -> str:
        return f"{self.net}.0.{10 + index}"

    def pod_cidr(self, index: int) -> str:
        return f"{self.net}.{16 + index}.0/24"

    @property
    def pods_cidr(self) -> str:
        return f"{self.net}.16.0/20"

    @property
    def services_cidr(self) -> str:
        return f"{self.net}.128.0/20"

    @property
    def kubernetes_ip(self) -> str:
        return f"{self.net}.128.1"

    @property
    def dns_ip(self) -> str:
        return f"{self.net}.128.10"


def id_of(state: Path) -> str:
    return hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:6]


@contextmanager
def registry_lock() -> Iterator[None]:
    REGISTRY.mkdir(mode=0o755, parents=True, exist_ok=True)
    with open(REGISTRY / "lock", "w") as f:

        def taken() -> bool:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                return False

        until("the registry's lock", Deadline(limits.LOCK_DEADLINE), taken)
        yield


def records() -> dict[str, Instance]:
    found = {}
    for path in sorted(REGISTRY.glob("*.json")):
        if re.fullmatch(ID_PATTERN, path.stem):
            record = {"complete": True} | json.loads(path.read_text())
            found[path.stem] = Instance(**{f.name: record[f.name] for f in fields(Instance)})
    return found


def find(state: Path) -> Instance:
    instance = records().get(id_of(state))
    if instance is None:
        raise LocalClusterError(f"no cluster in {state} (see `cluster up --help`)")
    return instance


def _routed(net: str) -> bool:
    routes = subprocess.run(
        ["ip", "-4", "route"],
        capture_output=True,
        text=True,
        timeout=limits.COMMAND_DEADLINE,
        check=True,
    ).stdout
    return any(line.startswith(net + ".") for line in routes.splitlines())


def _write(instance: Instance) -> None:
    temporary = REGISTRY / f".{instance.id}.tmp"
    temporary.write_text(json.dumps(asdict(instance)))
    temporary.rename(REGISTRY / f"{instance.id}.json")


def set_complete(instance: Instance) -> None:
    with registry_lock():
        _write(replace(instance, complete=True))


def claim(state: Path, owner_pid: int) -> Instance:
    """Takes the record of a new instance; the directory must be empty or left by an earlier one."""
    owner_start = process_start(owner_pid) if owner_pid else 0
    if owner_start is None:
        raise LocalClusterError(f"owner {owner_pid} is not a living process")
    state.mkdir(parents=True, exist_ok=True)
    strangers = {e.name for e in state.iterdir()} - {"logs"}
    if strangers and not (state / STATE_MARKER).exists():
        raise LocalClusterError(f"{state} is no cluster's directory and not empty")
    with registry_lock():
        known = records()
        id_ = id_of(state)
        if id_ in known:
            raise LocalClusterError(f"{state} has a cluster already; `cluster down` ends it")
        (state / STATE_MARKER).touch()
        taken = {i.slot for i in known.values()}
        for slot in range(limits.MAX_SLOTS):
            candidate = Instance(
                id_,
                slot,
                str(state.resolve()),
                owner_pid,
                owner_start,
                os.getpid(),
                process_start(os.getpid()) or 0,
            )
            if slot not in taken and not _routed(candidate.net):
                _write(candidate)
                return candidate
    raise LocalClusterError(
        f"all {limits.MAX_SLOTS} slots are taken; `cluster sweep` clears leftovers"
    )


def release(id_: str) -> None:
    (REGISTRY / f"{id_}.json").unlink(missing_ok=True)


def holder_alive(pid: int, start: int) -> bool:
    return pid != 0 and process_start(pid) == start
