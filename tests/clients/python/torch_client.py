"""The client that s3torchconnector reads and writes with, without PyTorch around it."""
from s3torchconnectorclient import S3Exception
from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client

import os

from common import BIG, BUCKET, ENDPOINT, MIB, PREFIX, SMALL, same

client = MountpointS3Client(os.environ["AWS_REGION"], endpoint=ENDPOINT, force_path_style=True,
                            part_size=5 * MIB, max_attempts=3)


def key(name):
    return PREFIX + name


def read(name, **bounds):
    return b"".join(client.get_object(BUCKET, key(name), **bounds))


def listed(**more):
    pages = list(client.list_objects(BUCKET, key(""), **more))
    return ([o.key for page in pages for o in page.object_info],
            [p for page in pages for p in page.common_prefixes])


for name, body in (("small", SMALL), ("dir/big", BIG), ("empty", b"")):
    stream = client.put_object(BUCKET, key(name))  # a checkpoint: in parts, with checksums
    for at in range(0, len(body), MIB):
        stream.write(body[at:at + MIB])
    stream.close()
    for _ in range(2):
        same(name, read(name), body)
    same("size", client.head_object(BUCKET, key(name)).size, len(body))
same("range", read("dir/big", start=3 * MIB + 7, end=9 * MIB), BIG[3 * MIB + 7:9 * MIB])
client.copy_object(BUCKET, key("dir/big"), BUCKET, key("copy"))
same("copy", read("copy"), BIG)
names = [key(n) for n in ("copy", "dir/big", "empty", "small")]
same("list", listed(max_keys=2), (names, []))
same("folders", listed(delimiter="/"), ([n for n in names if "dir/" not in n], [key("dir/")]))
for name in names:
    client.delete_object(BUCKET, name)
same("left", listed(), ([], []))
try:
    read("small")
    raise SystemExit("a deleted object was read")
except S3Exception:
    pass
