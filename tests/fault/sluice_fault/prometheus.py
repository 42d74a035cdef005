"""A real Prometheus for the gates, and an exporter whose counters grow by the same every scrape."""
import contextlib
import http.server
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time

READY_SECONDS = 30
CONFIG = """global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: sluice
  static_configs: [{targets: ['127.0.0.1:%d'], labels: {site: phoenix}}]
"""


class _Metrics(http.server.BaseHTTPRequestHandler):
    scrapes = 0

    def do_GET(self):
        _Metrics.scrapes += 1
        body = (f'sluice_site_agents_ready 2\nsluice_site_agents_wanted 2\n'
                f'requests_total{{outcome="ok"}} {100 * _Metrics.scrapes}\n').encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # a scrape that gave up: the next one comes


@contextlib.contextmanager
def running():
    """Yields its URL."""
    exporter = _Server(("127.0.0.1", 0), _Metrics)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-fault-prometheus-"))
    (folder / "prometheus.yml").write_text(CONFIG % exporter.server_port)
    log = folder / "log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml",
             f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:0"],
            stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not (port := re.search(r'"Listening on" address=127.0.0.1:(\d+)', log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("prometheus did not start: " + log.read_text()[-500:])
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port[1]}"
    finally:
        process.kill()
        process.wait()
        exporter.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
