"""A versitygw and a sluice-agent on loopback ports, for one test class."""
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import boto3
import botocore.exceptions
from botocore.config import Config

from seccomp import under_profile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "tests/integration"))
from ports import free_port  # noqa: E402

BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", ROOT / "build/debug"))
AGENT = BUILD / "bin/sluice-agent"
GATEWAY = ROOT / "build/local/bin/versitygw"
MIB = 1 << 20
START_SECONDS = 60

CONFIG = """\
site: lab
node: n1
listeners: ["127.0.0.1:0", "unix:{folder}/s3.sock"{listeners}]
metrics: 127.0.0.1:{metrics}
threads: 2
cache: {{memoryBytes: {memory}, diskBytes: {disk}, diskPaths: [{paths}], chunkBytes: 1Mi, metadataTTL: {ttl}}}
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
{extra}"""


def wait_until(what, condition, seconds=START_SECONDS):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def client(port, key, secret, **more):
    return boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", aws_access_key_id=key,
        aws_secret_access_key=secret, region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"},
                      retries={"max_attempts": 0},
                      connect_timeout=5, read_timeout=60, **more))


def pattern(size, seed=1):
    block = bytes((i * 31 + seed * 17 + (i >> 8)) & 255 for i in range(65521))
    return (block * (size // len(block) + 1))[:size]


class Rig(unittest.TestCase):
    memory = "64Mi"
    disk = "256Mi"
    ttl = "1h"
    extra = ""
    listeners = ""  # further ones, each behind a comma

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-it-"))
        cls.processes = []
        cls.logs = []
        cls.origin_port = free_port()
        cls.metrics_port = free_port()
        cls.config = cls.folder / "agent.yaml"
        try:
            (cls.folder / "objects").mkdir()
            cls.start_origin()
            cls.origin = client(cls.origin_port, "root", "rootsecret")
            cls.origin.create_bucket(Bucket="training")
            cls.write_config()
            cls.start_agent()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        for process in cls.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        for log in cls.logs:
            log.close()
        if "SLUICE_KEEP" not in os.environ:
            shutil.rmtree(cls.folder, ignore_errors=True)

    @classmethod
    def log(cls, name):
        cls.logs.append(open(cls.folder / name, "ab"))
        return cls.logs[-1]

    @classmethod
    def write_config(cls, **changes):
        values = dict(folder=cls.folder, paths=cls.folder / "disk" if cls.disk != "0" else "", metrics=cls.metrics_port, origin=cls.origin_port,
                      memory=cls.memory, disk=cls.disk, ttl=cls.ttl, extra=cls.extra, listeners=cls.listeners)
        values.update(changes)
        cls.config.write_text(CONFIG.format(**values))

    @classmethod
    def start_origin(cls):
        log = cls.log("origin.log")
        cls.gateway = subprocess.Popen(
            [GATEWAY, "--port", f"127.0.0.1:{cls.origin_port}", "--access", "root", "--secret",
             "rootsecret", "posix", cls.folder / "objects"], stdout=log, stderr=log)
        cls.processes.append(cls.gateway)
        wait_until("the origin listens", lambda: connects(cls.origin_port))

    @classmethod
    def stop_origin(cls):
        cls.gateway.kill()
        cls.gateway.wait()

    @classmethod
    def start_agent(cls):
        path = cls.folder / "agent.log"
        begin = path.stat().st_size if path.exists() else 0
        log = cls.log("agent.log")
        cls.agent = subprocess.Popen([AGENT, "--config", cls.config], stdout=log, stderr=log,
                                     preexec_fn=under_profile())
        cls.processes.append(cls.agent)

        def port():
            if cls.agent.poll() is not None:
                raise AssertionError(f"the agent ended with {cls.agent.returncode}: " + path.read_text()[begin:])
            found = re.search(r"listening address=127\.0\.0\.1:(\d+)", path.read_text()[begin:])
            return found and cls.ready() and int(found.group(1))

        cls.port = wait_until("the agent is ready", port)
        cls.falcon = client(cls.port, "FALCON", "falconsecret")
        cls.hawk = client(cls.port, "HAWK", "hawksecret")

    @classmethod
    def page(cls, path):
        connection = http.client.HTTPConnection("127.0.0.1", cls.metrics_port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    @classmethod
    def ready(cls):
        try:
            return cls.page("/readyz")[0] == 200
        except OSError:
            return False

    def metric(self, name, **labels):
        """The sum of all children with these labels."""
        total = 0.0
        for line in self.page("/metrics")[1].splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if not found or found.group(1) != name:
                continue
            have = dict(re.findall(r'(\w+)="([^"]*)"', found.group(2) or ""))
            if all(have.get(k) == v for k, v in labels.items()):
                total += float(found.group(3))
        return total

    def origin_gets(self):
        return self.metric("sluice_agent_origin_requests_total", operation="get")

    def put_at_origin(self, key, body, **more):
        self.origin.put_object(Bucket="training", Key=key, Body=body, **more)

    def read(self, key, s3=None, bucket="falcons", **more):
        answer = (s3 or self.falcon).get_object(Bucket=bucket, Key=key, **more)
        return answer["Body"].read(), answer["ResponseMetadata"]["HTTPHeaders"]

    def heal(self, key):
        """Starts the origin again and waits until the agent has noticed (its circuit is closed).
        `key` is not cached, so that asking for it asks the origin."""
        self.start_origin()

        def answered():
            try:
                self.read(key)
            except botocore.exceptions.ClientError as error:
                return error.response["Error"]["Code"] == "NoSuchKey"
            return True
        wait_until("the agent reaches the origin again", answered)

    def refused(self, code, call, **arguments):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code, caught.exception)
        return caught.exception.response


def main():
    if not GATEWAY.exists() or not AGENT.exists():
        sys.exit(f"needs {GATEWAY} (deploy/local/install.sh programs) and {AGENT}")
    unittest.main(verbosity=2)
