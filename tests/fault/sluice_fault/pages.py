"""What a running controller tells: its metrics, whether it is ready, its memory and descriptors."""
import os
import re
import urllib.error
import urllib.request

PAGE_SECONDS = 10


def metrics(controller):
    """Lines of /metrics of the life that runs."""
    with urllib.request.urlopen(_url(controller, "metrics") + "/metrics", timeout=PAGE_SECONDS) as page:
        return [line for line in page.read().decode().splitlines() if not line.startswith("#")]


def unready(controller):
    """"" when the life that runs is ready, else what /readyz says."""
    try:
        with urllib.request.urlopen(_url(controller, "health") + "/readyz", timeout=PAGE_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return error.read().decode()
    except OSError as error:  # one that only starts
        return str(error)


def unsynced(controller):
    """The kinds whose caches /readyz names as not synced, as plurals."""
    found = re.search(r"^\[-\]caches failed: not synced: (.*)$", unready(controller), re.M)
    names = re.sub(r" \([^)]*\)", "", found[1]).split(", ") if found else []  # (namespace, labels)
    return {name.split(".")[0] for name in names}


def _url(controller, page):
    ports = re.findall(rf'page="{page} address" port=(\d+)', controller.log.read_text())
    if not ports:
        raise OSError(f"{controller.identity} serves no {page} yet")
    return f"http://127.0.0.1:{ports[-1]}"


def series(controller):
    """What /metrics tells, without the values."""
    return {line.rsplit(" ", 1)[0] for line in metrics(controller)}


def usage(controller):
    """Resident bytes, open descriptors and threads of the life that runs."""
    status = open(f"/proc/{controller.pid}/status").read()
    return {"resident_bytes": int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024,
            "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
            "descriptors": len(os.listdir(f"/proc/{controller.pid}/fd"))}
