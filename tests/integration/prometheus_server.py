"""A real Prometheus for one test run, on a port of its own, with nothing but what the test tells it."""
import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

READY_SECONDS = 30
ANSWER_SECONDS = 10
CONFIG = """global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: sluice
  static_configs: [{targets: ['127.0.0.1:%d'], labels: %s}]
"""


@contextlib.contextmanager
def running(port, **labels):
    """Yields its URL. It scrapes 127.0.0.1:`port` every second, as job `sluice` with `labels`."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-prometheus-"))
    (folder / "prometheus.yml").write_text(CONFIG % (port, json.dumps(labels)))
    log = folder / "log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml",
             f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:0"],
            stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not (url := _ready_at(log)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("prometheus did not start: " + log.read_text()[-500:])
            time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _ready_at(log):
    """Its URL, once it answers queries: it listens before that."""
    port = re.search(r'"Listening on" address=127.0.0.1:(\d+)', log.read_text())
    url = f"http://127.0.0.1:{port[1]}" if port else None
    try:
        return url if url and urllib.request.urlopen(f"{url}/-/ready", timeout=ANSWER_SECONDS) else None
    except OSError:
        return None


def query(url, expression):
    """The result vector as [(labels, value)]."""
    asked = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{url}/api/v1/query?{asked}", timeout=ANSWER_SECONDS) as answer:
        found = json.load(answer)["data"]["result"]
    return [(each["metric"], float(each["value"][1])) for each in found]
