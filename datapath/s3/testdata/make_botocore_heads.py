#!/usr/bin/env python3
"""Writes botocore_heads.txt: request heads signed by botocore, for sigv4_botocore_test.cc.

Run it with botocore installed when a case is added; the result is committed. The time is fixed.
"""
import datetime
import itertools
import pathlib
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.compat
import botocore.credentials

NOW = datetime.datetime(2026, 1, 15, 12, 0, 0, tzinfo=datetime.timezone.utc)


class FixedDatetime(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW.replace(tzinfo=None)

    @classmethod
    def now(cls, tz=None):
        return NOW if tz else NOW.replace(tzinfo=None)


class FixedModule:
    timezone = datetime.timezone
    timedelta = datetime.timedelta
    datetime = FixedDatetime


botocore.auth.datetime = FixedModule if hasattr(botocore.auth.datetime, "datetime") else FixedDatetime
if hasattr(botocore.auth, "get_current_datetime"):
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: (
        NOW.replace(tzinfo=None) if remove_tzinfo else NOW
    )
CREDENTIALS = botocore.credentials.Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
WITH_TOKEN = botocore.credentials.Credentials(
    "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "token/with+signs=="
)
KEYS = ["plain.tar", "a b/c+d&e=f?g#h%25", "ä€/~*'()!", "x/$@:;,[]{}|^`\"<>", "/a//b///", "tr ailing ", "%2F%2e%2e"]
QUERIES = [{}, {"list-type": "2", "prefix": "a b/ä+&", "delimiter": "/", "max-keys": "0"},
           {"uploads": ""}, {"partNumber": "3", "uploadId": "a/b+c=~d"}, {"versionId": "", "x-id": "GetObject"}]


def head(request):
    url = urllib.parse.urlsplit(request.url)
    target = url.path + ("?" + url.query if url.query else "")
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {url.netloc}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() != "host"]
    return "\r\n".join(lines) + "\r\n\r\n"


def request(method, key, query, headers):
    url = "http://s3.local:9000/datasets/" + urllib.parse.quote(key.encode(), safe="/~")
    made = botocore.awsrequest.AWSRequest(method=method, url=url, params=query, headers=headers)
    made.context["payload_signing_enabled"] = False
    if query:  # botocore encodes parameters itself when it prepares the request
        made.url += "?" + "&".join(
            urllib.parse.quote(k, safe="-_.~") + "=" + urllib.parse.quote(v, safe="-_.~") for k, v in query.items()
        )
        made.params = {}
    return made


def main():
    heads = []
    headers = {"User-Agent": "Boto3", "x-amz-meta-a": "two   blanks", "x-amz-checksum-mode": "ENABLED",
               "Range": "bytes=0-9"}
    for number, (key, query) in enumerate(itertools.product(KEYS, QUERIES)):
        credentials = WITH_TOKEN if number % 3 == 0 else CREDENTIALS
        method = "PUT" if number % 4 == 0 else "GET"
        signed = request(method, key, query, headers)
        botocore.auth.S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(signed)
        heads.append(head(signed))
        presigned = request(method, key, query, {"Host": "s3.local:9000"})
        botocore.auth.S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=900).add_auth(presigned)
        heads.append(head(presigned))
    path = pathlib.Path(__file__).with_name("botocore_heads.txt")
    path.write_bytes("".join(heads).encode())
    print(f"{len(heads)} heads, {path.stat().st_size} bytes")


main()
