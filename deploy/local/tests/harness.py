"""What the tests of the local cluster share: one cluster as a context, and the machine as others
see it.

`traces` looks at the machine on its own, not through the code under test.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOCAL = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(LOCAL))

from localkube import images  # noqa: E402
from localkube.health import Api  # noqa: E402
from localkube.instance import id_of  # noqa: E402, F401

CLUSTER = str(LOCAL / "cluster")
BIN = Path(os.environ.get("SLUICE_LOCAL_BIN", LOCAL.parents[1] / "build" / "local" / "bin"))
PROBE_IMAGE = "localhost/sluice-probe:1"
# One GET, last line of the answer. bash resolves names as any program of the image would.
GET = (
    "exec 3<>/dev/tcp/$1/$2 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && "
    "busybox timeout 5 busybox tail -n 1 <&3"
)


def run(*argv: str, check: bool = True, timeout: float = 200) -> subprocess.CompletedProcess:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done


def eventually(what: str, probe, seconds: float = 40):
    """The first true value of `probe`; AssertionError after the deadline."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


class Cluster:
    """A cluster in a directory of its own, down again at the end of the `with`."""

    def __init__(self, *up_arguments: str, owner: int = os.getpid()) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="sluice-cluster-"))
        self.arguments = [*up_arguments, "--owner-pid", str(owner)]

    def cmd(self, name: str, *args: str, check: bool = True) -> subprocess.CompletedProcess:
        return run(CLUSTER, name, "--state", str(self.state), *args, check=check)

    def __enter__(self) -> "Cluster":
        self.cmd("up", *self.arguments)
        self.env = json.loads((self.state / "env.json").read_text())
        self.id = self.env["id"]
        self.api = Api(self.state, self.env["apiServer"]["ip"], self.env["apiServer"]["port"])
        return self

    def __exit__(self, *_) -> None:
        if sys.exc_info()[0]:
            print(self.cmd("logs", check=False).stdout, file=sys.stderr)
        self.cmd("down")
        shutil.rmtree(self.state, ignore_errors=True)

    def kubectl(self, *args: str, check: bool = True) -> str:
        return run(
            self.env["kubectl"], "--kubeconfig", self.env["kubeconfig"], *args, check=check
        ).stdout.strip()

    def load_probe_image(self) -> None:
        archive = self.state / "nodes" / "probe.tar"
        images.write(
            archive,
            PROBE_IMAGE,
            images.with_libraries(Path("/bin/busybox"), Path("/bin/bash")),
            ["/bin/bash"],
        )
        self.cmd("load-image", str(archive))


def traces(id_: str, state: Path) -> list[str]:
    """Everything on this machine that bears a cluster's id or lies in its directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environ, cgroup = (entry / "environ").read_bytes(), (entry / "cgroup").read_text()
            command = (entry / "cmdline").read_bytes()
            if (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                continue
        except OSError:
            continue
        if id_.encode() in environ or f"-{id_}-" in cgroup or str(state).encode() in command:
            found.append(f"process {entry.name}: {command[:80]!r}")
    for what in (["ip", "-o", "link"], ["ip", "netns", "list"], ["ip", "-4", "route"]):
        found += [line for line in run(*what).stdout.splitlines() if id_ in line]
    found += [str(p) for p in Path("/sys/fs/cgroup").glob(f"**/*{id_}*")]
    found += [
        line
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if id_ in line or str(state) in line
    ]
    return found
