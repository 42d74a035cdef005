"""The object store that owns the data: versitygw over a folder, with its access log as witness."""

import pathlib

import boto3
from botocore.config import Config

from .shell import ROOT, Process

ACCESS_KEY = "origin-access"
SECRET_KEY = "origin-secret-0123456789"  # of a store that lives as long as the run


class Origin:
    def __init__(self, state, address, port):
        self.endpoint = f"http://{address}:{port}"
        self._log = pathlib.Path(state) / "origin-access.log"
        data = pathlib.Path(state) / "origin-data"
        data.mkdir(parents=True, exist_ok=True)
        self.process = Process(
            state, [ROOT / "build/local/bin/versitygw", "--port", f"{address}:{port}",
             "--access-log", self._log, "posix", data],
            pathlib.Path(state) / "origin.log",
            env={"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY})

    def client(self):
        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY, region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2},
                          connect_timeout=2, read_timeout=20))

    def ready(self):
        return self.client().list_buckets() is not None

    def upload(self, bucket, prefix, folder, names):
        client = self.client()
        client.create_bucket(Bucket=bucket)
        for name in names:
            with open(pathlib.Path(folder) / name, "rb") as file:
                client.put_object(Bucket=bucket, Key=prefix + name, Body=file)

    def object_reads(self):
        """Object GETs that the origin answered, by its own log."""
        if not self._log.exists():
            return 0
        return sum("REST.GET.OBJECT" in line or "GetObject" in line
                   for line in self._log.read_text(errors="replace").splitlines())
