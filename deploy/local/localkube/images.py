"""Image archives made from files on this machine, on no base image (none can be pulled)."""

import hashlib
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Mapping, Sequence

from . import limits

PAUSE_IMAGE = "localhost/sluice-pause:1"


def with_libraries(*programs: Path) -> dict[str, Path]:
    """Files for `write`: each program at its own path, with the shared libraries it needs."""
    files = {}
    for program in programs:
        files[str(program).lstrip("/")] = program
        listed = subprocess.run(
            ["ldd", str(program)], capture_output=True, text=True, timeout=limits.COMMAND_DEADLINE
        )  # fails on a static program: no libraries
        for library in re.findall(r"(?:=> |^\s*)(/\S+)", listed.stdout, re.MULTILINE):
            files[library.lstrip("/")] = Path(library)
    return files


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def write(archive: Path, name: str, files: Mapping[str, Path], entrypoint: Sequence[str]) -> None:
    """Writes a one-layer image `name` to `archive` (docker-archive form, as `cluster load-image`
    takes).

    `files` maps a path in the image, without the leading slash, to a file here; all are executable.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        folders = {str(parent) for f in files for parent in Path(f).parents if str(parent) != "."}
        for folder in sorted(folders | {"tmp"}):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(info)
        for path, source in files.items():
            _add(tar, path, source.read_bytes(), 0o755)
    diff_id = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": list(entrypoint), "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created_by": "sluice"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, mode="w") as tar:
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "layer.tar", layer.getvalue())
        _add(tar, "manifest.json", json.dumps(manifest).encode())
