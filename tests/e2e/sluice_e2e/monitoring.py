"""Debian's Prometheus, finding the pods by itself, with Sluice's own rules.

Debian builds Prometheus without Kubernetes discovery, so it finds pods by the SRV records of their
headless Services: a pod that comes or goes is seen within seconds and nobody edits a file. It runs in
a mount namespace of its own, where /etc/resolv.conf names the cluster's DNS."""

import json
import pathlib
import urllib.parse
import urllib.request

from .shell import Process

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s, scrape_timeout: 1s}}
rule_files: ["{rules}/*.yaml"]
scrape_configs:
- job_name: sluice
  honor_labels: true
  dns_sd_configs:
  - names:
    - _metrics._tcp.sluice-controller-metrics.{namespace}.svc.cluster.local
    - _metrics._tcp.metrics.sluice-site-phoenix.svc.cluster.local
    type: SRV
    refresh_interval: 2s
  relabel_configs:
  - source_labels: [__meta_dns_name]
    regex: '_metrics\\._tcp\\.metrics\\.sluice-site-([^.]+)\\..*'
    target_label: site
"""


class Prometheus:
    def __init__(self, state, address, port, dns_ip, namespace):
        self.url = f"http://{address}:{port}"
        folder = pathlib.Path(state) / "prometheus"
        self._rules = folder / "rules"
        self._rules.mkdir(parents=True, exist_ok=True)
        config = folder / "prometheus.yaml"
        config.write_text(CONFIG.format(rules=self._rules, namespace=namespace))
        resolv = folder / "resolv.conf"
        resolv.write_text(f"nameserver {dns_ip}\n")
        self.process = Process(
            state, ["unshare", "--mount", "sh", "-c",
             f'mount --bind "{resolv}" /etc/resolv.conf && exec "$@"', "sh",
             "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address={address}:{port}", "--web.enable-lifecycle",
             "--log.level=warn"], folder / "prometheus.log")

    def ready(self):
        with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
            return answer.status == 200

    def query(self, expression):
        """The result vector as [(labels, value)]."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{query}", timeout=5) as answer:
            body = json.load(answer)
        return [(r["metric"], float(r["value"][1])) for r in body["data"]["result"]]

    def load_rules(self, files):
        """Replaces the rule files ({name: yaml}) and reloads when anything changed."""
        changed = False
        for old in self._rules.glob("*.yaml"):
            if old.name not in files:
                old.unlink()
                changed = True
        for name, text in files.items():
            path = self._rules / name
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
                changed = True
        if changed:
            request = urllib.request.Request(f"{self.url}/-/reload", method="POST")
            with urllib.request.urlopen(request, timeout=5):
                pass
        return changed
