"""One running widget controller: started on a core of its own, asked over its control port, and
measured from outside by the kernel's accounts."""
import dataclasses
import http.client
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time

READY_SECONDS = 120
STOP_SECONDS = 30


def cores():
    """The API server's core and the controller's; the same one where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclasses.dataclass(frozen=True)
class Contender:
    binary: pathlib.Path
    environment: dict = dataclasses.field(default_factory=dict)  # beside the protocol's


class Controller:
    """`ready_seconds` and `ready_cpu_seconds` are of the time from its start to its READY."""

    def __init__(self, contender, kubeconfig, core, salt, lease="", log=subprocess.DEVNULL):
        self.port = free_port()
        env = {"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig),
               "BENCH_LISTEN": f"127.0.0.1:{self.port}", "BENCH_SALT": salt, "BENCH_LEASE": lease, **contender.environment}
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})  # inherited; an exec of taskset would be measured, too
        try:
            self.started = time.monotonic()
            self.process = subprocess.Popen([contender.binary], env=env, stdout=subprocess.PIPE, stderr=log)
        finally:
            os.sched_setaffinity(0, mine)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def wait_ready(self):
        out = self.process.stdout
        if not select.select([out], [], [], READY_SECONDS)[0] or out.readline() != b"READY\n":
            raise RuntimeError(f"{self.process.args[0]} did not become ready")
        self.ready_seconds = time.monotonic() - self.started
        self.ready_cpu_seconds = self.cpu_seconds()
        return self

    def stop(self):
        """Ends it in order; True when it ended well in time."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS) == 0

    def cpu_seconds(self):
        """User and system time of all its threads, ended ones included, to the nanosecond."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def memory_bytes(self):
        """(resident now, the most it ever was)"""
        lines = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        field = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
        rollup = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text().split("\n")
        resident = next(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))
        return resident * 1024, max(resident, int(field["VmHWM"])) * 1024

    def _ask(self, method, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{method} {path}: {answer.status}")
            return body
        finally:
            connection.close()

    def stats(self):
        return json.loads(self._ask("GET", "/stats"))

    def resync(self):
        self._ask("POST", "/resync")

    def wait_stats(self, field, at_least, seconds, period=0.02):
        """Returns the stats once `field` has reached `at_least`."""
        deadline = time.monotonic() + seconds
        while True:
            stats = self.stats()
            if stats[field] >= at_least:
                return stats
            if time.monotonic() > deadline:
                raise TimeoutError(f"{field} stayed below {at_least}: {stats}")
            time.sleep(period)
