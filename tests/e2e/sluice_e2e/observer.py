"""What the promotions said, second by second: every change of a verdict is kept for the summary."""

import threading

from .timeline import now_rfc3339


class Observer:
    def __init__(self, kube):
        self._kube = kube
        self._last = {}
        self._lock = threading.Lock()
        self._verdicts = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)

    def start(self):
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join(20)

    @property
    def verdicts(self):
        with self._lock:
            return list(self._verdicts)

    def seen(self, promotion_suffix, verdict, causes, after=""):
        """The first verdict of a promotion at or after a time, with one of these causes."""
        for v in self.verdicts:
            if (v["promotion"].endswith(promotion_suffix) and v["verdict"] == verdict
                    and v["cause"] in causes and v["at"] >= after):
                return v
        return None

    def _watch(self):
        while not self._stop.wait(0.5):
            try:
                promotions = self._kube.get("promotions")
            except Exception:  # the API server is stopped on purpose during one fault
                continue
            for promotion in promotions:
                self._note(promotion)

    def _note(self, promotion):
        name = promotion["metadata"]["name"]
        for gate in promotion.get("status", {}).get("gates", []):
            key = (name, gate["name"])
            value = (gate["verdict"], gate["cause"])
            if self._last.get(key) == value:
                continue
            self._last[key] = value
            with self._lock:
                self._verdicts.append({
                    "promotion": name, "gate": gate["name"], "verdict": gate["verdict"],
                    "cause": gate["cause"], "message": gate.get("message", ""),
                    "at": now_rfc3339()})
