"""A real Prometheus for the gates, and an exporter whose counters grow by the same every scrape."""
import contextlib
import http.server
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "integration"))
import prometheus_server  # noqa: E402


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
    try:
        with prometheus_server.running(exporter.server_port, site="phoenix") as url:
            yield url
    finally:
        exporter.shutdown()
