"""Settings of the whole machine that a kubelet changes: remembered before the first cluster, put
back after the last one. The caller holds the registry lock.
"""

import json
from pathlib import Path

from . import instance

# What kubelet sets at start-up (it has no switch for leaving them alone).
SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def _file() -> Path:
    return instance.REGISTRY / "host-settings.json"


def remember() -> None:
    if not _file().exists():
        _file().write_text(
            json.dumps({s: Path("/proc/sys", s).read_text().strip() for s in SETTINGS})
        )


def restore() -> None:
    """Does nothing while any cluster has a record."""
    if instance.records() or not _file().exists():
        return
    for setting, value in json.loads(_file().read_text()).items():
        path = Path("/proc/sys", setting)
        if path.read_text().strip() != value:
            path.write_text(value)
    _file().unlink()
