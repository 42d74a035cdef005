"""A real API server for one test run, and the little of its protocol that tests need.

`SLUICE_TEST_KUBECONFIG` names a cluster that is already there; without it an etcd and an API server
are started by deploy/local/cluster and taken down again, whatever happens.
"""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "deploy/local/cluster"
KUBECTL = ROOT / "build/local/bin/kubectl"
START_SECONDS = 120
REQUEST_SECONDS = 30
GROUP = "/apis/sluice.dev/v1alpha1/"


class Answer:
    """Status code and body of one answer; `message` is what a person would read."""

    def __init__(self, code, raw):
        self.code = code
        self.body = json.loads(raw) if raw else {}
        self.message = self.body.get("message", "") if self.code >= 400 else ""

    @property
    def ok(self):
        return self.code < 300


class ApiServer:
    """One kept connection as the kubeconfig's user, or impersonating another. Not thread-safe."""

    def __init__(self, kubeconfig, folder):
        text = subprocess.run(
            [KUBECTL, "--kubeconfig", kubeconfig, "config", "view", "--raw", "--flatten", "--minify",
             "-o", "json"], check=True, capture_output=True, timeout=START_SECONDS).stdout
        config = json.loads(text)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        if "client-certificate-data" in user:
            pair = folder / "client.pem"
            pair.touch(mode=0o600)
            pair.write_bytes(base64.b64decode(user["client-certificate-data"]) + b"\n" +
                             base64.b64decode(user["client-key-data"]))
            context.load_cert_chain(pair)
        self._headers = {}
        self.accept = None  # another form of answer than JSON, such as a Table
        if "token" in user:
            self._headers["Authorization"] = "Bearer " + user["token"]
        address = urllib.parse.urlsplit(cluster["server"])
        self._connection = http.client.HTTPSConnection(
            address.hostname, address.port, context=context, timeout=REQUEST_SECONDS)
        self.kubeconfig = kubeconfig

    def close(self):
        self._connection.close()

    def call(self, method, path, body=None, content_type="application/json", user=None, **query):
        """Sends one request. `user` is impersonated, in system:masters: it may do whatever RBAC
        guards, so a refusal comes from the rule under test."""
        headers = {**self._headers, "Accept": self.accept or "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
            if not isinstance(body, (str, bytes)):
                body = json.dumps(body)
        if user:
            headers["Impersonate-User"] = user
            headers["Impersonate-Group"] = "system:masters"
        if query:
            path += "?" + urllib.parse.urlencode(query)
        if isinstance(body, str):
            body = body.encode()
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return Answer(response.status, response.read())

    def apply_files(self, *paths):
        """kubectl apply --server-side, as the README tells users to."""
        command = [KUBECTL, "--kubeconfig", self.kubeconfig, "apply", "--server-side"]
        for path in paths:
            command += ["-f", path]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=START_SECONDS)

    def wait_for_kinds(self):
        """Returns when every kind of ours is served."""
        wanted = {path.stem.split("_", 1)[1] for path in (ROOT / "deploy/crds").glob("*.yaml")}

        def served():
            answer = self.call("GET", GROUP.rstrip("/"))
            names = {r["name"] for r in answer.body.get("resources", [])} if answer.ok else set()
            return wanted <= names and all(self.call("GET", GROUP + name).ok for name in wanted)

        wait_until(served, "every kind to be served")


def wait_until(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def running(*up_arguments, kinds=True):
    """Yields an ApiServer, with our kinds unless told otherwise. `up_arguments` go to `cluster up`."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-api-"))
    given = os.environ.get("SLUICE_TEST_KUBECONFIG")
    state = folder / "cluster"
    try:
        if not given:
            subprocess.run([CLUSTER, "up", "--state", state, "--profile", "api", "--owner-pid",
                            str(os.getpid()), *up_arguments], check=True, stdout=subprocess.DEVNULL,
                           timeout=START_SECONDS)
        server = ApiServer(pathlib.Path(given or state / "kubeconfig"), folder)
        if kinds:
            server.apply_files(ROOT / "deploy/crds")
            server.wait_for_kinds()
        yield server
        server.close()
    finally:
        if not given:
            subprocess.run([CLUSTER, "down", "--state", state], timeout=START_SECONDS,
                           stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)
