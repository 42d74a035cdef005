"""An origin that keeps users, an agent with a mount for each of a suite's buckets, and a router that
lets a suite which makes its own buckets run against both.

Buckets come from mounts, so a suite's own management of buckets and users (creating, deleting and
configuring them, and the lists of versions and uploads that it empties them by) goes straight to the
origin; everything else, whatever it does to objects, goes through the agent.
"""
import asyncio
import os
import pathlib
import re
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("SLUICE_BUILD_DIR", str(ROOT / "build/release"))
sys.path.insert(0, str(ROOT / "tests/integration/datapath"))
import rig  # noqa: E402

CONFIG = """\
site: lab
node: n1
listeners: ["127.0.0.1:0"]
metrics: 127.0.0.1:{metrics}
threads: 2
cache: {{memoryBytes: {memory}, chunkBytes: 1Mi, metadataTTL: {ttl}}}
origins:
- {{name: lake, endpoint: "http://127.0.0.1:{origin}", region: us-east-1,
   credentials: {{accessKeyID: root, secretAccessKey: rootsecret}}}}
"""


class Lab(rig.Rig):
    memory = "128Mi"
    disk = "0"
    ttl = "1s"
    buckets = ()  # a mount for each

    def runTest(self):
        pass

    @classmethod
    def start_origin(cls):
        (cls.folder / "users").mkdir()
        log = cls.log("origin.log")
        cls.gateway = rig.subprocess.Popen(
            [rig.GATEWAY, "--port", f"127.0.0.1:{cls.origin_port}", "--access", "root", "--secret",
             "rootsecret", "--iam-dir", cls.folder / "users", "posix", cls.folder / "objects"],
            stdout=log, stderr=log)
        cls.processes.append(cls.gateway)
        rig.wait_until("the origin listens", lambda: rig.connects(cls.origin_port))

    @classmethod
    def write_config(cls, **_):
        text = CONFIG.format(metrics=cls.metrics_port, origin=cls.origin_port, memory=cls.memory,
                             ttl=cls.ttl)
        text += "mounts:\n" + "".join(
            f"- {{path: /{name}, origin: lake, bucket: {name}}}\n" for name in cls.buckets)
        text += ("tenants:\n- name: tester\n  keys: [{accessKeyID: root, secretAccessKey: "
                 "rootsecret}]\n  access:\n") + "".join(
            f"  - {{mount: /{name}, verbs: [Read, Write, Delete, List]}}\n" for name in cls.buckets)
        cls.config.write_text(text)


class Router:
    """One request a connection: bucket and user management to one port, the rest to another."""

    CONFIGURES = {"acl", "policy", "policyStatus", "tagging", "versioning", "cors", "object-lock",
                  "ownershipControls", "website", "versions", "uploads"}

    def __init__(self, management_port, data_port):
        self.management_port = management_port
        self.data_port = data_port
        self.port = rig.free_port()
        self.routed = {True: 0, False: 0}
        self._serving = set()  # the loop alone would let them be collected while they wait
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        rig.wait_until("the router listens", lambda: rig.connects(self.port))

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 20))
        self._loop.run_forever()
        self._server.close()
        while tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=1))
        self._loop.close()

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    @classmethod
    def _is_management(cls, method, target):
        path, _, query = target.partition("?")
        segments = path.strip("/").split("/")
        if method == "PATCH":
            return True  # the gateway's own user administration
        if len(segments) > 1 or not segments[0]:
            return False
        keys = {pair.split("=")[0] for pair in query.split("&") if pair}
        return bool(keys & cls.CONFIGURES) or method in ("DELETE", "OPTIONS", "PUT")

    async def _serve(self, reader, writer):
        upstream = None
        self._serving.add(asyncio.current_task())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            first, _, rest = head.partition(b"\r\n")
            words = first.decode("latin-1").split(" ")
            management = len(words) == 3 and (
                self._is_management(words[0], words[1])
                # A suite empties its buckets with this header, which the agent refuses.
                or words[0] == "DELETE" and b"bypass-governance-retention" in rest.lower())
            self.routed[management] += 1
            rest = re.sub(rb"(?i)(^|\r\n)connection:[^\r]*(?=\r\n)", rb"\1X-Was: c", rest)
            back, upstream = await asyncio.open_connection(
                "127.0.0.1", self.management_port if management else self.data_port)
            upstream.write(first + b"\r\nConnection: close\r\n" + rest)
            up = asyncio.create_task(self._pump(reader, upstream))
            try:
                await self._pump(back, writer)
            finally:
                up.cancel()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError,
                asyncio.CancelledError):
            pass
        finally:
            self._serving.discard(asyncio.current_task())
            for end in (writer, upstream):
                if end is not None:
                    end.close()

    @staticmethod
    async def _pump(source, sink):
        try:
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        except (OSError, asyncio.CancelledError):
            pass
