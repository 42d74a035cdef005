"""The CRT client (below s3torchconnector and Mountpoint): parallel parts, up and down."""
import os

import boto3

from common import BIG, BUCKET, ENDPOINT, MIB, PREFIX, SMALL, WORK, same

import awscrt.http
from awscrt.auth import AwsCredentialsProvider
from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup
from awscrt.s3 import (
    S3Client, S3RequestTlsMode, S3RequestType, create_default_s3_signing_config)

group = EventLoopGroup(1)
bootstrap = ClientBootstrap(group, DefaultHostResolver(group))
provider = AwsCredentialsProvider.new_static(os.environ["AWS_ACCESS_KEY_ID"],
                                             os.environ["AWS_SECRET_ACCESS_KEY"])
region = os.environ["AWS_DEFAULT_REGION"]
client = S3Client(bootstrap=bootstrap, region=region, part_size=5 * MIB, tls_mode=S3RequestTlsMode.DISABLED,
                  signing_config=create_default_s3_signing_config(
                      region=region, credential_provider=provider))
host = ENDPOINT.split("//")[1]


def ask(kind, method, name, **more):
    headers = awscrt.http.HttpHeaders([("host", host)])
    if "send_filepath" in more:
        headers.add("content-length", str(os.path.getsize(more["send_filepath"])))
        headers.add("content-type", "application/octet-stream")
    request = awscrt.http.HttpRequest(method, f"/{BUCKET}/{PREFIX}{name}", headers)
    client.make_request(type=kind, request=request, **more).finished_future.result(120)


for label, path, body in (("small", "FILE_SMALL", SMALL), ("big", "FILE_BIG", BIG)):
    ask(S3RequestType.PUT_OBJECT, "PUT", label, send_filepath=os.environ[path])
    for _ in range(2):
        target = os.path.join(WORK, "crt-back")
        ask(S3RequestType.GET_OBJECT, "GET", label, recv_filepath=target)
        same(label, open(target, "rb").read(), body)

# boto3's own CRT path speaks TLS only, so it is no test of this listener.
s3 = boto3.client("s3", endpoint_url=ENDPOINT)
for name in ("small", "big"):
    s3.delete_object(Bucket=BUCKET, Key=PREFIX + name)
