"""The servers that are compared: each started alone on its own port, pinned to the server's core.

All hold the same objects: the files that versitygw (the origin) wrote are the ones nginx serves.
"""
import datetime
import hashlib
import hmac
import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "tests/integration"))
from ports import free_port  # noqa: E402

GATEWAY = ROOT / "build/local/bin/versitygw"
START_SECONDS = 60
BUCKET = "bench"
REGION = "us-east-1"
EMPTY = hashlib.sha256(b"").hexdigest()
PORTS = range(7100, 9900)  # below what clients get (run: ip_local_port_range)


def signed_headers(method, host, path, key, secret, payload=EMPTY):
    """Signature Version 4 for a request without a query."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = f"{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{now}\n\n{names}\n{payload}"
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    derived = b"AWS4" + secret.encode()
    for part in (now[:8], REGION, "s3", "aws4_request", text):
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    return {"x-amz-date": now, "x-amz-content-sha256": payload,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, "
                             f"Signature={derived.hex()}"}


def request(method, port, path, key=None, body=None, headers=()):
    """(status, headers, bytes of the body) of one request; `key` is (access, secret)."""
    host = f"127.0.0.1:{port}"
    signed = signed_headers(method, host, path, *key, "UNSIGNED-PAYLOAD") if key else {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body=body, headers={**signed, **dict(headers)})
        answer = connection.getresponse()
        return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
    finally:
        connection.close()


class Server:
    """One process tree. `key`: what clients sign with, None where nobody checks."""
    name = ""
    key = None

    def __init__(self, folder, cores):
        self.folder = folder / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cores = cores
        self.port = free_port(PORTS)
        self.process = None

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def start(self):
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [str(part) for part in self.command()], stdout=log, stderr=log,
            env={**os.environ, **self.environment()},
            preexec_fn=lambda: os.sched_setaffinity(0, self.cores))
        log.close()
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)
        return self

    def ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in reversed(self.pids()):
                os.kill(pid, 9)
            self.process.wait()

    def pids(self):
        """The process and all its descendants."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    stat = pathlib.Path("/proc", entry, "stat").read_text()
                except OSError:
                    continue
                parents[int(entry)] = int(stat.rsplit(")", 1)[1].split()[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu_seconds(self):
        total = 0.0
        for pid in self.pids():
            fields = pathlib.Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total

    def settle(self):
        """Waits until it rests: what a server does in the background after its start is not measured."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(0.3)
            if self.cpu_seconds() - before < 0.02:
                return
        raise RuntimeError(f"{self.name} does not come to rest")

    def get(self, key):
        return request("GET", self.port, f"/{BUCKET}/{key}", self.key)

    def version(self):
        return ""


class Gateway(Server):
    name = "versitygw"
    key = ("root", "rootsecret")

    def command(self):
        return [GATEWAY, "--port", f"127.0.0.1:{self.port}", "--access", "root", "--secret", "rootsecret",
                "--keep-alive", "--quiet", "posix", self.objects]

    def __init__(self, folder, cores):
        super().__init__(folder, cores)
        self.objects = self.folder / "objects"
        self.objects.mkdir()

    def environment(self):
        return {"GOMAXPROCS": str(len(self.cores))}

    def put(self, path, body=b""):
        status, _, text = request("PUT", self.port, path, self.key, body)
        if status != 200:
            raise RuntimeError(f"PUT {path}: {status} {text[:300]}")

    def version(self):
        return first_line([GATEWAY, "--version"])


AGENT_CONFIG = """\
site: bench
node: n1
listeners: ["127.0.0.1:{port}"]
metrics: 127.0.0.1:{metrics}
threads: 1
cache: {{memoryBytes: {memory}, diskBytes: {disk}, diskPaths: [{paths}], chunkBytes: 1Mi, metadataTTL: 1h}}
origins:
- {{name: lake, endpoint: "http://127.0.0.1:{origin}", region: us-east-1,
   credentials: {{accessKeyID: root, secretAccessKey: rootsecret}}}}
mounts:
- {{path: /bench, origin: lake, bucket: bench}}
tenants:
- name: bench
  keys: [{{accessKeyID: BENCH, secretAccessKey: benchsecret}}]
  access: [{{mount: /bench, verbs: [Read, List]}}]
"""


class Agent(Server):
    name = "sluice-agent"
    key = ("BENCH", "benchsecret")

    def __init__(self, folder, cores, origin, binary, memory, disk="0"):
        super().__init__(folder, cores)
        self.origin = origin
        self.memory = memory
        self.disk = disk
        self.binary = binary
        self.metrics = free_port(PORTS)

    def command(self):
        config = self.folder / "agent.yaml"
        paths = self.folder / "disk" if self.disk != "0" else ""
        config.write_text(AGENT_CONFIG.format(port=self.port, metrics=self.metrics, origin=self.origin.port,
                                              memory=self.memory, disk=self.disk, paths=paths))
        return [self.binary, "--config", config]

    def ready(self):
        try:
            return request("GET", self.metrics, "/readyz")[0] == 200
        except OSError:
            return False


NGINX_COMMON = """\
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 18000; multi_accept on; }}
http {{
  access_log off;
  server_tokens off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  open_file_cache max=4096 inactive=1h;
  open_file_cache_valid 1h;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {body}
}}
"""


class Nginx(Server):
    def body(self):
        raise NotImplementedError

    def command(self):
        config = self.folder / "nginx.conf"
        text = NGINX_COMMON.format(folder=self.folder, body=self.body())
        config.write_text(("user root;\n" if os.geteuid() == 0 else "") + text)
        return ["nginx", "-c", config, "-e", self.folder / "error.log"]

    def version(self):
        return first_line(["nginx", "-v"])


class NginxStatic(Nginx):
    name = "nginx-static"

    def __init__(self, folder, cores, origin):
        super().__init__(folder, cores)
        self.origin = origin

    def body(self):
        return f"server {{ listen 127.0.0.1:{self.port}; root {self.origin.objects}; }}"


class NginxCache(Nginx):
    name = "nginx-proxy-cache"

    def __init__(self, folder, cores, upstream):
        super().__init__(folder, cores)
        self.upstream = upstream

    def body(self):
        return f"""\
  proxy_cache_path {self.folder}/cache levels=2 keys_zone=all:16m max_size=4g inactive=1d use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{self.upstream.port}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{
      slice 1m;
      proxy_cache all;
      proxy_cache_key $uri$slice_range;
      proxy_cache_valid 200 206 1d;
      proxy_cache_lock on;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Range $slice_range;
      proxy_pass http://origin;
    }}
  }}"""


class Varnish(Server):
    name = "varnish"

    def __init__(self, folder, cores, upstream):
        super().__init__(folder, cores)
        self.upstream = upstream

    def command(self):
        return ["varnishd", "-F", "-j", "none", "-n", self.folder / "work", "-a", f"127.0.0.1:{self.port}", "-b",
                f"127.0.0.1:{self.upstream.port}", "-s", "malloc,512m", "-p", "default_ttl=86400", "-p",
                "thread_pools=1", "-p", "thread_pool_min=300", "-p", "timeout_idle=300", "-T", "none"]

    def version(self):
        return first_line(["varnishd", "-V"])


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return (done.stdout + done.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "unknown"


def missing():
    """Programs of peers that are not here."""
    wanted = {"nginx": shutil.which("nginx"), "varnishd": shutil.which("varnishd"),
              str(GATEWAY): GATEWAY.exists()}
    return [name for name, found in wanted.items() if not found]
