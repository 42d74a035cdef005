"""A training-shaped reader: every shard of a manifest, in a shuffled order, through one S3 endpoint.

Uses boto3 as it comes. Shards are read as a loader would: ranged reads of a fixed size by a few
threads. Every shard's SHA-256 is compared with the manifest's. Prints one JSON line.

  reader.py --endpoint http://10.0.0.2:9000 --bucket datasets --manifest manifest.json [--prefix P]
Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)."""

import argparse
import concurrent.futures
import hashlib
import json
import os
import random
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PIECE_BYTES = 4 << 20
LOOP_BYTES = 64 << 10


def read_shard(client, bucket, key, size):
    digest = hashlib.sha256()
    for start in range(0, size, PIECE_BYTES):
        end = min(start + PIECE_BYTES, size) - 1
        answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end}")
        digest.update(answer["Body"].read())
    return digest.hexdigest()


def loop(client, bucket, prefix, names, manifest):
    """About ten reads a second of 64 KiB each, and a line of JSON for each. A failed read is part of the
    measurement."""
    while True:
        name = random.choice(names)
        start = random.randrange(0, manifest[name]["bytes"] - LOOP_BYTES)
        said = {"at": round(time.time(), 3)}
        try:
            client.get_object(Bucket=bucket, Key=prefix + name,
                              Range=f"bytes={start}-{start + LOOP_BYTES - 1}")["Body"].read()
        except (BotoCoreError, ClientError) as error:
            said["error"] = f"{name}: {error}"
        print(json.dumps(said), flush=True)
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=0, help="read only this many shards")
    parser.add_argument("--loop", action="store_true",
                        help="read small pieces at an even pace until ended")
    arguments = parser.parse_args()
    endpoint = os.path.expandvars(arguments.endpoint)
    with open(arguments.manifest, encoding="utf-8") as file:
        manifest = json.load(file)
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name=os.environ.get("AWS_REGION", "us-east-1"),
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1},
                      connect_timeout=5, read_timeout=30,
                      max_pool_connections=arguments.threads))
    names = sorted(manifest)
    random.Random(arguments.seed).shuffle(names)
    names = names[:arguments.limit or None]
    if arguments.loop:
        return loop(client, arguments.bucket, arguments.prefix, names, manifest)
    begin = time.monotonic()
    errors = []
    error_seconds = []
    verified = 0

    def one(name):
        want = manifest[name]
        asked = time.monotonic()
        try:
            got = read_shard(client, arguments.bucket, arguments.prefix + name, want["bytes"])
        except (BotoCoreError, ClientError):
            error_seconds.append(round(time.monotonic() - asked, 3))
            raise
        if got != want["sha256"]:
            raise ValueError(f"{name}: bytes differ from the source")
        return want["bytes"]

    with concurrent.futures.ThreadPoolExecutor(arguments.threads) as pool:
        for name, future in [(n, pool.submit(one, n)) for n in names]:
            try:
                verified += future.result()
            except Exception as error:  # each shard's failure is reported, none hides another
                errors.append(f"{name}: {error}")
    seconds = time.monotonic() - begin
    print(json.dumps({"bytesVerified": verified, "seconds": round(seconds, 3),
                      "errors": errors[:5], "failed": len(errors),
                      "errorSeconds": sorted(error_seconds)}))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
