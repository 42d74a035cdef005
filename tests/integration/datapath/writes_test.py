"""Pass-through, invalidation, lists, multipart."""
import http.client
import io

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from boto3.s3.transfer import TransferConfig

from rig import MIB, Rig, client, main, pattern


class Writes(Rig):
    def test_a_put_is_seen_at_once_and_replaces_what_was_cached(self):
        for version in range(5):
            body = pattern(200_000 + version, version)
            self.falcon.put_object(Bucket="falcons", Key="w", Body=body, ContentType="a/b",
                                   Metadata={"v": str(version)})
            answer = self.falcon.get_object(Bucket="falcons", Key="w")
            self.assertEqual(answer["Body"].read(), body)
            self.assertEqual(answer["Metadata"], {"v": str(version)})
            self.assertEqual(self.origin.get_object(Bucket="training", Key="falcons/w")["Body"]
                             .read(), body)

    def test_a_delete_is_seen_at_once(self):
        self.put_at_origin("falcons/d", b"x")
        self.read("d")
        self.falcon.delete_object(Bucket="falcons", Key="d")
        self.refused("NoSuchKey", self.falcon.get_object, Bucket="falcons", Key="d")

    def test_every_way_a_client_signs_and_checks_a_body(self):
        for mode in ("when_supported", "when_required"):
            s3 = client(self.port, "FALCON", "falconsecret", request_checksum_calculation=mode)
            for size in (0, 1, 65536, 3 * MIB):
                body = pattern(size, 9)
                s3.put_object(Bucket="falcons", Key="c", Body=io.BytesIO(body))
                self.assertEqual(self.read("c")[0], body, (mode, size))

    def test_a_body_that_is_not_what_was_signed_is_refused_and_nothing_is_stored(self):
        url = f"http://127.0.0.1:{self.port}/falcons/bad"
        request = botocore.awsrequest.AWSRequest("PUT", url, data=b"right")
        botocore.auth.S3SigV4Auth(botocore.credentials.Credentials("FALCON", "falconsecret"), "s3",
                                  "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("PUT", "/falcons/bad", body=b"wrong", headers=dict(request.headers))
        answer = connection.getresponse()
        self.assertEqual(answer.status, 400)
        self.assertIn(b"<Code>XAmzContentSHA256Mismatch</Code>", answer.read())
        connection.close()
        self.refused("NoSuchKey", self.origin.get_object, Bucket="training", Key="falcons/bad")

    def test_multipart_up_and_down(self):
        body = pattern(17 * MIB + 3, 4)
        plan = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
        self.falcon.upload_fileobj(io.BytesIO(body), "falcons", "multi", Config=plan)
        back = io.BytesIO()
        self.falcon.download_fileobj("falcons", "multi", back, Config=plan)
        self.assertEqual(back.getvalue(), body)

    def test_multipart_answers_name_what_the_client_named(self):
        begun = self.falcon.create_multipart_upload(Bucket="falcons", Key="dir/m")
        self.assertEqual((begun["Bucket"], begun["Key"]), ("falcons", "dir/m"))
        part = self.falcon.upload_part(Bucket="falcons", Key="dir/m", PartNumber=1,
                                       UploadId=begun["UploadId"], Body=b"p" * 100)
        listed = self.falcon.list_parts(Bucket="falcons", Key="dir/m", UploadId=begun["UploadId"])
        self.assertEqual([p["ETag"] for p in listed["Parts"]], [part["ETag"]])
        done = self.falcon.complete_multipart_upload(
            Bucket="falcons", Key="dir/m", UploadId=begun["UploadId"],
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
        self.assertEqual((done["Bucket"], done["Key"]), ("falcons", "dir/m"))
        self.assertEqual(self.read("dir/m")[0], b"p" * 100)

    def test_copies(self):
        self.put_at_origin("falcons/from", b"copied")
        self.falcon.copy_object(Bucket="falcons", Key="to",
                                CopySource={"Bucket": "falcons", "Key": "from"})
        self.assertEqual(self.read("to")[0], b"copied")

    def test_lists_show_the_mount_and_writes_at_once(self):
        for key in ("l/a", "l/b", "l/sub/c", "l/sub/d"):
            self.falcon.put_object(Bucket="falcons", Key=key, Body=b"1")
        page = self.falcon.list_objects_v2(Bucket="falcons", Prefix="l/")
        self.assertEqual([o["Key"] for o in page["Contents"]], ["l/a", "l/b", "l/sub/c", "l/sub/d"])
        page = self.falcon.list_objects_v2(Bucket="falcons", Prefix="l/")
        self.assertEqual(page["ResponseMetadata"]["HTTPHeaders"]["x-sluice-cache"], "hit")
        self.falcon.put_object(Bucket="falcons", Key="l/e", Body=b"1")
        page = self.falcon.list_objects_v2(Bucket="falcons", Prefix="l/", Delimiter="/")
        self.assertEqual([o["Key"] for o in page["Contents"]], ["l/a", "l/b", "l/e"])
        self.assertEqual([p["Prefix"] for p in page["CommonPrefixes"]], ["l/sub/"])
        pages = self.falcon.get_paginator("list_objects_v2").paginate(
            Bucket="falcons", Prefix="l/", PaginationConfig={"PageSize": 2})
        self.assertEqual(sum(p["KeyCount"] for p in pages), 5)
        old = self.falcon.list_objects(Bucket="falcons", Prefix="l/", MaxKeys=2)
        self.assertEqual(len(old["Contents"]), 2)

    def test_deleting_many(self):
        keys = [f"many/{i}" for i in range(20)]
        for key in keys:
            self.put_at_origin("falcons/" + key, b"x")
        self.read(keys[0])
        done = self.falcon.delete_objects(
            Bucket="falcons", Delete={"Objects": [{"Key": k} for k in keys]})
        self.assertEqual(sorted(d["Key"] for d in done["Deleted"]), sorted(keys))
        self.refused("NoSuchKey", self.falcon.get_object, Bucket="falcons", Key=keys[0])

    def test_buckets_are_the_mounts(self):
        self.assertEqual([b["Name"] for b in self.falcon.list_buckets()["Buckets"]], ["falcons"])
        self.assertEqual(self.falcon.list_buckets(Prefix="fal")["Buckets"][0]["Name"], "falcons")
        self.assertEqual(self.falcon.list_buckets(Prefix="hawk").get("Buckets", []), [])
        self.refused("InvalidArgument", self.falcon.list_buckets, MaxBuckets=20000)
        self.falcon.head_bucket(Bucket="falcons")
        self.falcon.get_bucket_location(Bucket="falcons")
        self.refused("AccessDenied", self.falcon.delete_bucket, Bucket="falcons")
        self.refused("AccessDenied", self.falcon.get_bucket_policy, Bucket="falcons")
        self.refused("NotImplemented", self.falcon.put_object_acl, Bucket="falcons", Key="x",
                     ACL="public-read")


if __name__ == "__main__":
    main()
