"""What a running controller tells: its metrics, its log, its memory and descriptors."""
import os
import re
import urllib.request

PAGE_SECONDS = 10


def metrics(controller):
    """Lines of /metrics of the life that runs."""
    ports = re.findall(r'page="metrics address" port=(\d+)', controller.log.read_text())
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]}/metrics",
                                timeout=PAGE_SECONDS) as page:
        return [line for line in page.read().decode().splitlines() if not line.startswith("#")]


def series(controller):
    """What /metrics tells, without the values."""
    return {line.rsplit(" ", 1)[0] for line in metrics(controller)}


def usage(controller):
    """Resident bytes, open descriptors and threads of the life that runs."""
    status = open(f"/proc/{controller.pid}/status").read()
    return {"resident_bytes": int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024,
            "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
            "descriptors": len(os.listdir(f"/proc/{controller.pid}/fd"))}
