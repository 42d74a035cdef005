"""boto3 and s3transfer, one program for the old era and the new: defaults untouched."""
import io
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from common import BIG, BUCKET, ENDPOINT, MIB, PREFIX, SMALL, same

s3 = boto3.client("s3", endpoint_url=ENDPOINT)
new_era = tuple(map(int, boto3.__version__.split(".")[:2])) >= (1, 36)


def key(name):
    return PREFIX + name


def read(name, **more):
    return s3.get_object(Bucket=BUCKET, Key=key(name), **more)["Body"].read()


s3.put_object(Bucket=BUCKET, Key=key("small"), Body=SMALL, ContentType="text/plain",
              Metadata={"who": "boto"})
for _ in range(2):  # a miss, then a hit
    same("get", read("small"), SMALL)
same("range get", read("small", Range="bytes=10-19"), SMALL[10:20])
same("suffix range", read("small", Range="bytes=-7"), SMALL[-7:])
head = s3.head_object(Bucket=BUCKET, Key=key("small"))
same("head", (head["ContentLength"], head["ContentType"], head["Metadata"]),
     (len(SMALL), "text/plain", {"who": "boto"}))
if new_era:
    for algorithm in ("CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"):
        name = "sum-" + algorithm
        s3.put_object(Bucket=BUCKET, Key=key(name), Body=io.BytesIO(SMALL),
                      ChecksumAlgorithm=algorithm)
        same(algorithm, read(name, ChecksumMode="ENABLED"), SMALL)
else:
    s3.put_object(Bucket=BUCKET, Key=key("sum"), Body=SMALL, ChecksumAlgorithm="SHA256")
    same("SHA256", read("sum"), SMALL)

plan = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
s3.upload_fileobj(io.BytesIO(BIG), BUCKET, key("dir/big"), Config=plan)
back = io.BytesIO()
s3.download_fileobj(BUCKET, key("dir/big"), back, Config=plan)
same("multipart", back.getvalue(), BIG)

s3.copy({"Bucket": BUCKET, "Key": key("dir/big")}, BUCKET, key("dir/copy"), Config=plan)
same("copy in parts", read("dir/copy"), BIG)
s3.copy_object(Bucket=BUCKET, Key=key("copy"), CopySource={"Bucket": BUCKET, "Key": key("small")})
same("copy", read("copy"), SMALL)

listed = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(
    Bucket=BUCKET, Prefix=PREFIX, PaginationConfig={"PageSize": 3}) for o in page["Contents"]]
same("list", [k for k in listed if "sum" not in k],
     [key(n) for n in ("copy", "dir/big", "dir/copy", "small")])
page = s3.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX, Delimiter="/")
same("folders", [p["Prefix"] for p in page["CommonPrefixes"]], [key("dir/")])

# boto3 presigns by the abolished version 2 of the signature unless it is told otherwise.
v4 = boto3.client("s3", endpoint_url=ENDPOINT, config=Config(signature_version="s3v4"))
url = v4.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key("small")})
with urllib.request.urlopen(url, timeout=30) as answer:
    same("presigned", answer.read(), SMALL)
try:
    read("small", IfNoneMatch=head["ETag"])
    raise SystemExit("a conditional get was answered")
except ClientError as error:
    same("conditional", error.response["ResponseMetadata"]["HTTPStatusCode"], 304)
url = v4.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": key("small")})
urllib.request.urlopen(urllib.request.Request(url, SMALL[::-1], method="PUT"), timeout=30).close()
same("presigned upload", read("small"), SMALL[::-1])

s3.delete_object(Bucket=BUCKET, Key=key("small"))
try:
    read("small")
    raise SystemExit("a deleted object was read")
except s3.exceptions.NoSuchKey:
    pass
done = s3.delete_objects(Bucket=BUCKET, Delete={
    "Objects": [{"Key": k} for k in listed if k != key("small")]})
same("errors", done.get("Errors", []), [])
same("left", s3.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX)["KeyCount"], 0)
