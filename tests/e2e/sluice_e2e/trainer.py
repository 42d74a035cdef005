"""One pod that finds its node's agent by the downward API, as a workload does."""

import json
import pathlib
import sys

from .shell import ROOT
from .timeline import StepFailed

HERE = pathlib.Path(__file__).resolve().parents[1]


def host_mounts(*more):
    """Volumes with the host's programs and libraries, read-only, for images that hold nothing."""
    paths = {"/usr", "/lib", "/lib64", *map(str, more)}
    paths = [p for p in sorted(paths) if pathlib.Path(p).is_dir()]
    # A path below another one comes with it.
    tops = [p for p in paths if not any(p != q and p.startswith(q.rstrip("/") + "/") for q in paths)]
    mounts = [{"name": f"host-{n}", "mountPath": p, "readOnly": True} for n, p in enumerate(tops)]
    volumes = [{"name": f"host-{n}", "hostPath": {"path": p, "type": "Directory"}}
               for n, p in enumerate(tops)]
    return mounts, volumes


def run_trainer(world):
    """Bytes the pod verified."""
    # The interpreter, the reader and the data set.
    mounts, volumes = host_mounts(ROOT, pathlib.Path(sys.base_prefix).resolve())
    world.kube.kubectl("-n", "falcon", "delete", "pod", "trainer", "--ignore-not-found")
    world.kube.apply_file(
        HERE / "manifests/trainer.yaml", PAUSE_IMAGE=world.pause_image(),
        PYTHON=ROOT / "build/venv/bin/python", READER=HERE / "reader.py",
        MANIFEST=world.warm_manifest, VOLUME_MOUNTS=json.dumps(mounts), VOLUMES=json.dumps(volumes))

    def ended():
        pod = world.kube.get("pod", "trainer", "falcon")
        phase = pod["status"].get("phase")
        if phase == "Failed":
            raise StepFailed("the pod failed: " + world.kube.kubectl(
                "-n", "falcon", "logs", "trainer", check=False)[-1000:])
        return phase == "Succeeded"
    world.timeline.wait("the pod to end", ended, 60)
    return json.loads(world.kube.kubectl("-n", "falcon", "logs", "trainer"))["bytesVerified"]
