"""The processes of an instance: start from a written spec, stop, find again, kill them all.

A component is described by STATE/run/NAME.json, written before it is first started, so that
`cluster start` can start it again just as `up` did. Its process id and start time stand in
STATE/run/NAME.pid. Node components run inside their node's namespaces (see node.py).
"""

import json
import os
import signal
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Optional

from . import limits
from .instance import ENV_MARKER, Instance, process_start
from .wait import Deadline, LocalClusterError, tail, until

BASE_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": os.environ.get("HOME", "/"),
    "LANG": "C.UTF-8",
    # Go collects its garbage less often: an API server takes a quarter less CPU to its first answer,
    # for 120 MB more.
    "GOGC": "400",
}


@dataclass
class Component:
    name: str  # "etcd", "node-0/kubelet"
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    inside: Optional[str] = None  # component whose namespaces it runs in (a node's init)
    wraps: bool = False  # argv[0] forks the real program and waits for it


def _file(instance: Instance, name: str, suffix: str) -> Path:
    return instance.state_dir / "run" / (name.replace("/", ".") + suffix)


def log_path(instance: Instance, name: str) -> Path:
    return instance.state_dir / "logs" / (name.replace("/", ".") + ".log")


def save(instance: Instance, component: Component) -> None:
    path = _file(instance, component.name, ".json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(component), indent=1))


def load(instance: Instance, name: str) -> Component:
    path = _file(instance, name, ".json")
    if not path.exists():
        known = ", ".join(names(instance)) or "none"
        raise LocalClusterError(f"no component {name!r}; there are: {known}")
    return Component(**json.loads(path.read_text()))


def names(instance: Instance) -> list[str]:
    files = (instance.state_dir / "run").glob("*.json")
    return sorted(json.loads(f.read_text())["name"] for f in files)


def pid_of(instance: Instance, name: str) -> Optional[int]:
    """The living process of a component, or None."""
    try:
        pid, start = map(int, _file(instance, name, ".pid").read_text().split())
    except (FileNotFoundError, ValueError):
        return None
    return pid if process_start(pid) == start else None


def started_at(instance: Instance, name: str) -> float:
    """Wall clock of a component's last start; 0 when it never started."""
    try:
        return _file(instance, name, ".pid").stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _child_of(parent: int) -> Optional[int]:
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(children[0]) if children else None


def enter_argv(instance: Instance, init: str) -> list[str]:
    """The command prefix that enters the namespaces of a node, by its init component."""
    pid = pid_of(instance, init)
    if pid is None:
        raise LocalClusterError(f"{init} is not running: the node is down")
    return ["nsenter", "-t", str(pid), "--net", "--mount", "--uts", "--pid", "--"]


def start(instance: Instance, component: Component) -> int:
    """Starts a saved component and records its process. Returns as soon as it is exec'ed."""
    if pid_of(instance, component.name) is not None:
        raise LocalClusterError(f"{component.name} is running already")
    prefix = enter_argv(instance, component.inside) if component.inside else []
    log = log_path(instance, component.name)
    log.parent.mkdir(exist_ok=True)
    env = BASE_ENV | component.env | {ENV_MARKER: instance.id}
    with open(log, "ab") as out:
        child = subprocess.Popen(
            prefix + component.argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            cwd="/",
        )
    pid = child.pid
    if component.inside or component.wraps:  # nsenter --pid and unshare --fork stay as wrappers

        def real() -> Optional[int]:
            if child.poll() is not None:
                raise LocalClusterError(f"{component.name} did not start:\n{tail(log)}")
            return _child_of(child.pid)

        pid = until(f"the process of {component.name}", Deadline(limits.STOP_GRACE), real)
    started = process_start(pid)
    if started is None:
        raise LocalClusterError(f"{component.name} ended at once:\n{tail(log)}")
    _file(instance, component.name, ".pid").write_text(f"{pid} {started}\n")
    return pid


def stop(instance: Instance, name: str, sig: signal.Signals) -> None:
    """Ends one component: `sig`, then KILL after a grace. No error when it is not running."""
    pid = pid_of(instance, name)
    if pid is None:
        return
    for each in (sig, signal.SIGKILL):
        try:
            os.kill(pid, each)
            until(
                f"{name} to end",
                Deadline(limits.STOP_GRACE),
                lambda: pid_of(instance, name) is None,
            )
            return
        except ProcessLookupError:
            return
        except LocalClusterError:
            if each == signal.SIGKILL:
                raise


def marked(id_: Optional[str] = None) -> dict[int, str]:
    """Living processes that bear a marker (of one instance when id_ is given): pid → id."""
    found = {}
    needle = (ENV_MARKER + "=").encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            environ = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for variable in environ:
            if variable.startswith(needle) and process_start(int(entry)) is not None:
                value = variable[len(needle) :].decode("ascii", "replace")
                if id_ in (None, value):
                    found[int(entry)] = value
    return found


def kill_all(find, what: str) -> int:
    """KILLs whatever `find()` (pid → anything) finds until it finds nothing. Returns how many."""
    seen: set[int] = set()

    def none_left() -> bool:
        pids = find()
        for pid in pids:
            seen.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not pids

    until(
        f"the end of {what}",
        Deadline(limits.KILL_DEADLINE),
        none_left,
        lambda: f"left: {sorted(find())}",
    )
    return len(seen)
