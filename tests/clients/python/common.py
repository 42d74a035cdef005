"""What every Python program here reads from its environment, and how it fails."""
import os
import sys

ENDPOINT = os.environ["S3_ENDPOINT"]
BUCKET = os.environ["S3_BUCKET"]
PREFIX = os.environ["S3_PREFIX"]
SMALL = open(os.environ["FILE_SMALL"], "rb").read()
BIG = open(os.environ["FILE_BIG"], "rb").read()
WORK = os.environ["WORK"]
MIB = 1 << 20


def same(what, have, want):
    if have != want:
        text = (f"{len(have)} bytes, not the {len(want)} expected"
                if isinstance(want, (bytes, bytearray)) else f"{have!r}, not {want!r}")
        sys.exit(f"{what}: {text}")
