"""The real sluice-agent, and everything that can befall it and its disk."""
import asyncio
import mmap
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

from seccomp import under_profile
from truth import Wrong

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
from ports import free_port  # noqa: E402

DIE_AT_WRITE = 4
WORDS = {"read_eio": 0, "write_eio": 1, "write_enospc": 2, "allocate_enospc": 3,
         "die_at_write": DIE_AT_WRITE}
# Every other start: too small for huge pages, and with them.
MEMORY_BYTES = (24 << 20, 40 << 20)
START_SECONDS = 60

CONFIG = """\
site: model
node: n1
listeners: ["127.0.0.1:0"]
metrics: 127.0.0.1:{metrics}
threads: 2
cache: {{memoryBytes: {memory}, diskBytes: 40Mi, diskPaths: [{folder}/disk], chunkBytes: 64Ki, metadataTTL: {ttl}ms}}
origins:
- {{name: lake, endpoint: "http://127.0.0.1:{origin}", region: us-east-1,
   credentials: {{accessKeyID: root, secretAccessKey: rootsecret}}}}
mounts:
- {{path: /falcons, origin: lake, bucket: training, prefix: falcons/}}
- {{path: /hawks, origin: lake, bucket: training, prefix: hawks/}}
tenants:
- name: falcon
  keys: [{{accessKeyID: FALCON, secretAccessKey: falconsecret}}]
  access: [{{mount: /falcons, verbs: [Read, Write, Delete, List]}}]
- name: hawk
  keys: [{{accessKeyID: HAWK, secretAccessKey: hawksecret}}]
  access: [{{mount: /hawks, verbs: [Read, Write, Delete, List]}}]
"""


class Agent:
    def __init__(self, build, folder, origin_port, ttl_seconds):
        self.folder = pathlib.Path(folder)
        self.binary = build / "bin/sluice-agent"
        self.shim = build / "lib/libdisk_faults.so"
        self.store = self.folder / "disk/store.sluice"
        self.log = self.folder / "agent.log"
        self.metrics_port = free_port()
        self.port = 0
        self.starts = 0
        self._process = None
        self._expected_end = False
        self.origin_port = origin_port
        self.ttl_seconds = ttl_seconds
        self.memory_bytes = 0
        (self.folder / "faults").write_bytes(b"\0" * 4096)
        with open(self.folder / "faults", "r+b") as file:
            self._words = mmap.mmap(file.fileno(), 4096)

    def set_disk(self, **rates):
        """Words of disk_faults.c by name; what is not named becomes 0."""
        for name, word in WORDS.items():
            self._words[word * 4:word * 4 + 4] = struct.pack("i", rates.get(name, 0))

    async def start(self):
        self.memory_bytes = MEMORY_BYTES[self.starts % 2]
        (self.folder / "agent.yaml").write_text(CONFIG.format(
            folder=self.folder, origin=self.origin_port, metrics=self.metrics_port,
            ttl=int(self.ttl_seconds * 1000), memory=self.memory_bytes))
        begin = self.log.stat().st_size if self.log.exists() else 0
        environment = dict(os.environ, LD_PRELOAD=str(self.shim),
                           SLUICE_DISK_FAULTS=str(self.folder / "faults"))
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [self.binary, "--config", self.folder / "agent.yaml"], stdout=log, stderr=log,
                env=environment, preexec_fn=under_profile())
        self._expected_end = False
        self.port = 0
        self.starts += 1
        deadline = time.monotonic() + START_SECONDS
        while True:
            with open(self.log, "rb") as log:
                log.seek(begin)
                text = log.read().decode(errors="replace")
            found = re.search(r"listening address=127\.0\.0\.1:(\d+)", text)
            if found and await self._ready():
                self.port = int(found.group(1))
                return
            if self.died_at_a_cut_point():  # a start writes, too
                return await self.start()
            if time.monotonic() > deadline:
                raise Wrong("the agent was not ready in time:\n" + text[-4000:])
            await asyncio.sleep(0.02)

    async def page(self, path):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.metrics_port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            return (await asyncio.wait_for(reader.read(), 10)).decode()
        finally:
            writer.close()

    async def _ready(self):
        try:
            return " 200 " in (await self.page("/readyz")).split("\r\n", 1)[0]
        except (OSError, asyncio.TimeoutError):
            return False

    async def metric(self, name):
        total = 0.0
        for line in (await self.page("/metrics")).splitlines():
            found = re.fullmatch(r"(\w+)(?:\{.*\})? (\S+)", line)
            if found and found.group(1) == name:
                total += float(found.group(2))
        return total

    async def end(self, how):
        """how: SIGKILL or SIGTERM. Waits until the process is gone."""
        self._expected_end = True
        if self._process.poll() is None:
            self._process.send_signal(how)
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                self._process.kill()
                raise Wrong("the agent did not end in time")
            await asyncio.sleep(0.01)
        if how == signal.SIGTERM and self._process.returncode not in (0, -signal.SIGKILL):
            raise Wrong(f"the agent ended with {self._process.returncode}:\n" + self.tail())

    async def restart(self, how=signal.SIGKILL):
        await self.end(how)
        await self.start()

    def died_at_a_cut_point(self):
        """True when disk_faults.c killed it; Wrong when it ended for any other reason."""
        if self._process.poll() is None or self._expected_end:
            return False
        if self._process.returncode == -signal.SIGKILL and self._was_to_die():
            return True
        raise Wrong(f"the agent died with {self._process.returncode}:\n" + self.tail())

    def _was_to_die(self):
        return self._words[DIE_AT_WRITE * 4:DIE_AT_WRITE * 4 + 4] == b"\0\0\0\0"

    def flip_bits(self, random, count):
        """Changes single bits of the store file where it lies, running agent or not."""
        if not self.store.exists():
            return
        size = self.store.stat().st_size
        fd = os.open(self.store, os.O_RDWR)
        try:
            for _ in range(count):
                at = random.randrange(size)
                byte = os.pread(fd, 1, at)
                if byte:
                    os.pwrite(fd, bytes([byte[0] ^ (1 << random.randrange(8))]), at)
        finally:
            os.close(fd)

    def wipe_disk(self):
        shutil.rmtree(self.folder / "disk", ignore_errors=True)

    def freeze(self, stopped):
        if self.running():
            self._process.send_signal(signal.SIGSTOP if stopped else signal.SIGCONT)

    def running(self):
        return self._process is not None and self._process.poll() is None

    async def ensure(self):
        """Runs when this returns, even if a start or an end of it was broken off."""
        if not self.running():
            await self.start()
        elif self.port == 0 or self._expected_end:
            await self.restart()

    def fds(self):
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def tail(self):
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self):
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
