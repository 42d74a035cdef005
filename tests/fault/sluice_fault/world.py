"""One lane: an API server of its own, the proxy in front of it, and the controller behind that."""
import base64
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))
import apiserver  # noqa: E402

from . import actor, etcd, proxy  # noqa: E402

USER = "sluice-fault-controller"
NAMESPACE = "sluice-system"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/sluice-controller"
PR_SET_PDEATHSIG = 1
# Off in Kubernetes' own defaults, on in some distributions: who owns may be named only by rights on finalizers.
OWNERS_GUARDED = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
MAX_UNASKED_ENDS = 3  # ends of the process by itself in one case; more is a crash loop
BINDINGS = [
    {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
     "metadata": {"name": "sluice-controller", **extra},
     "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role,
                 "name": "sluice-controller"},
     "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}]}
    for kind, role, extra in (("ClusterRoleBinding", "ClusterRole", {}),
                              ("RoleBinding", "Role", {"namespace": NAMESPACE}))]


def binary():
    folder = os.environ.get("SLUICE_BUILD_DIR", "build/release")
    return ROOT / folder / "bin/sluice-controller"


def die_with_us():
    """In the child: the kernel ends it when the thread that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Controller:
    """The process, started anew whenever it ends, as a kubelet would."""

    def __init__(self, kubeconfig, folder, name="life", flags=()):
        self._kubeconfig, self._name, self._flags = kubeconfig, name, flags
        self.log = folder / f"{name}.log"
        self._process = None
        self.lives = 0
        self.unasked_ends = 0
        self.killed = False  # set by kill(); the next look starts a new life

    def start(self):
        self.lives += 1
        self.killed = False
        argv = [binary(), f"--kubeconfig={self._kubeconfig}", f"--namespace={NAMESPACE}",
                f"--identity={self.identity}", "--metrics-address=127.0.0.1:0",
                "--health-address=127.0.0.1:0", "--control-address=127.0.0.1:0",
                "--enrolment-address=127.0.0.1:0", "--agent-image=agent:1",
                "--control-endpoint=controller:9443", "--enrolment-endpoint=controller:9444",
                *self._flags]
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(argv, stderr=log, stdout=log, preexec_fn=die_with_us)

    @property
    def identity(self):
        return f"{self._name}-{self.lives}"

    @property
    def pid(self):
        return self._process.pid

    def kill(self):
        """From any thread: the process runs not one instruction more."""
        self.killed = True
        os.kill(self._process.pid, signal.SIGKILL)

    def ended(self):
        """Exit code of a life that ended and was not looked at yet, None while it runs."""
        code = self._process.poll()
        if code is not None:
            self._look_for_reports()
        if code is not None and not self.killed:
            self.unasked_ends += 1
        return code

    def _look_for_reports(self):
        """A sanitizer's report is no end that a test may take for another."""
        if "Sanitizer" in (log := self.log.read_text(errors="replace")):
            raise RuntimeError("a sanitizer ended the controller:\n" + log[-6000:])

    def signal(self, number):
        os.kill(self._process.pid, number)

    def wait(self, seconds):
        """Its exit code."""
        code = self._process.wait(seconds)
        self._look_for_reports()
        return code

    def stop(self):
        if self._process and self._process.poll() is None:
            self.kill()
        if self._process:
            self._process.wait()
            self._look_for_reports()

    def clear(self):
        self.stop()
        self.log.write_bytes(b"")
        self._process, self.lives, self.unasked_ends = None, 0, 0


class Lane:
    def __init__(self, server, folder):
        self.server = server
        self.folder = folder
        self.etcd = etcd.Etcd(json.loads((folder / "cluster/env.json").read_text())["etcd"]["url"])
        self._install()
        certificate = self.new_certificate("proxy")
        self.proxy = proxy.Proxy(*self._server_address(), *certificate)
        self.proxy.start()
        self.kubeconfig = self.write_kubeconfig(
            "controller", {"certificate-authority": str(certificate[0])},
            {"token": (folder / "cluster/tokens" / USER).read_text()})
        self.controller = Controller(self.kubeconfig, folder)
        self.proxy.kill = self.controller.kill
        self.actor = actor.Actor(self)
        self.companion = None

    def _install(self):
        for name in (NAMESPACE, "falcon"):
            self.must("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.server.apply_files(ROOT / "deploy/manifests/rbac/clusterrole.yaml",
                                ROOT / "deploy/manifests/rbac/role.yaml")
        for binding in BINDINGS:
            base = "/apis/rbac.authorization.k8s.io/v1"
            if "namespace" in binding["metadata"]:
                self.must("POST", f"{base}/namespaces/{NAMESPACE}/rolebindings", binding)
            else:
                self.must("POST", f"{base}/clusterrolebindings", binding)

    def _config(self):
        text = subprocess.run(
            [apiserver.KUBECTL, "--kubeconfig", self.server.kubeconfig, "config", "view", "--raw",
             "--flatten", "-o", "json"], check=True, capture_output=True, timeout=60).stdout
        return json.loads(text)["clusters"][0]["cluster"]

    def _server_address(self):
        cluster = self._config()
        host, port = cluster["server"].removeprefix("https://").split(":")
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return (host, int(port)), authority

    def new_certificate(self, name):
        """(certificate, key) files for the proxy's address alone, signed by nobody else."""
        crt, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", f"/CN={name}", "-days", "2", "-addext",
             "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", crt],
            check=True, capture_output=True, timeout=60)
        return crt, key

    def write_kubeconfig(self, name, trust, user):
        """A kubeconfig that leads to the proxy. `trust` and `user` are the fields of its parts."""
        path = self.folder / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "fault",
            "clusters": [{"name": "fault", "cluster": {
                "server": f"https://127.0.0.1:{self.proxy.port}", **trust}}],
            "users": [{"name": "fault", "user": user}],
            "contexts": [{"name": "fault", "context": {"cluster": "fault", "user": "fault"}}]}))
        return path

    def call(self, *args, **query):
        try:
            return self.server.call(*args, **query)
        except (http.client.HTTPException, OSError):  # the server had closed an idle connection
            self.server.close()
            return self.server.call(*args, **query)

    def must(self, method, path, body=None, content_type="application/json", **query):
        answer = self.call(method, path, body, content_type, **query)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.code} {answer.message}")
        return answer.body

    def look(self, path):
        """An object, or None."""
        answer = self.call("GET", path)
        return answer.body if answer.ok else None

    def apply(self, *objects):
        for thing in objects:
            self.must("PATCH", path_of(thing), json.dumps(thing), "application/apply-patch+yaml",
                      fieldManager="somebody", force="true")

    def tend(self):
        """Starts the controller again when it has ended. The Lease of the dead is freed, as its
        time running out would: that wait is tests/integration/controller's to test."""
        if self.companion:
            self.companion.tend()
        if self.controller.ended() is None:
            return
        if self.controller.unasked_ends > MAX_UNASKED_ENDS:
            raise RuntimeError("the controller ends again and again")
        fault = self.proxy.fault
        travelled = fault and fault.kind == "travel" and self.controller.killed
        lease = self.look(LEASE)
        if lease:
            lease["spec"]["holderIdentity"] = ""
            self.call("PUT", LEASE, lease)
        if travelled:
            self.proxy.show_older()
        self.controller.start()


KIND_PATHS = {"Node": "/api/v1/nodes", "Namespace": "/api/v1/namespaces"}
PLURALS = {"Secret": "secrets", "SiteClass": "siteclasses", "Site": "sites", "Tenant": "tenants",
           "StagePlan": "stageplans", "ServiceLevelObjective": "servicelevelobjectives",
           "Release": "releases", "Rollout": "rollouts", "ReadinessReview": "readinessreviews",
           "Decision": "decisions", "Approval": "approvals", "Exemption": "exemptions",
           "FreezeWindow": "freezewindows", "Incident": "incidents"}


def path_of(thing):
    kind, meta = thing["kind"], thing["metadata"]
    if kind in KIND_PATHS:
        return f"{KIND_PATHS[kind]}/{meta['name']}"
    if kind == "Secret":
        return f"/api/v1/namespaces/{meta['namespace']}/secrets/{meta['name']}"
    return f"{apiserver.GROUP}{PLURALS[kind]}/{meta['name']}"


@contextlib.contextmanager
def lane(*flags, accompanied=True):
    """Everything a lane needs, taken down at the end whatever happens. `flags`: more of the API server's;
    `accompanied`: by an agent in every case."""
    from . import companion  # whose agents need this module
    more = [f"--apiserver-flag={flag}" for flag in (OWNERS_GUARDED, *flags)]
    with apiserver.running("--token-user", USER, *more) as server:
        folder = pathlib.Path(server.kubeconfig).parents[1]
        made = Lane(server, folder)
        try:
            if accompanied:
                made.companion = companion.Companion(made)
            yield made
        finally:
            made.controller.stop()
            if made.companion:
                made.companion.stop()
            made.proxy.stop()
