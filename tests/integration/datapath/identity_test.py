"""Signatures, and every operation with the neighbour's names."""
import datetime
import hashlib
import hmac
import http.client
import signal
import urllib.parse

from rig import Rig, client, main, wait_until


class Identity(Rig):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.origin.put_object(Bucket="training", Key="falcons/mine", Body=b"falcon")
        cls.origin.put_object(Bucket="training", Key="hawks/secret", Body=b"hawk")

    def fetch(self, target, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", target, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def presign(self, path, signed_ago, expires):
        """SigV4 by query, as written in Amazon's reference, with a date of our choice."""
        when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=signed_ago)
        stamp, day = when.strftime("%Y%m%dT%H%M%SZ"), when.strftime("%Y%m%d")
        scope = f"{day}/us-east-1/s3/aws4_request"
        query = urllib.parse.urlencode(sorted({
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"FALCON/{scope}",
            "X-Amz-Date": stamp, "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": "host"}.items()), quote_via=urllib.parse.quote, safe="-_.~")
        canonical = (f"GET\n{path}\n{query}\nhost:127.0.0.1:{self.port}\n\nhost\n"
                     "UNSIGNED-PAYLOAD")
        to_sign = (f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n"
                   + hashlib.sha256(canonical.encode()).hexdigest())
        key = b"AWS4falconsecret"
        for part in (day, "us-east-1", "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        return f"{path}?{query}&X-Amz-Signature={signature}"

    def test_wrong_secret_unknown_key_and_nobody(self):
        self.refused("SignatureDoesNotMatch", client(self.port, "FALCON", "guess").get_object,
                     Bucket="falcons", Key="mine")
        self.refused("InvalidAccessKeyId", client(self.port, "NOBODY", "x").get_object,
                     Bucket="falcons", Key="mine")
        status, body = self.fetch("/falcons/mine")
        self.assertEqual(status, 403)
        self.assertIn("<Code>AccessDenied</Code>", body)

    def test_an_expired_or_altered_presigned_url(self):
        target = self.presign("/falcons/mine", signed_ago=7200, expires=60)
        status, body = self.fetch(target)
        self.assertEqual(status, 403)
        self.assertIn("<Code>AccessDenied</Code>", body)
        self.assertEqual(self.fetch(self.presign("/falcons/mine", 30, 60))[0], 200)
        url = self.falcon.generate_presigned_url(
            "get_object", Params={"Bucket": "falcons", "Key": "mine"}, ExpiresIn=60)
        parts = urllib.parse.urlsplit(url)
        status, body = self.fetch("/hawks/secret?" + parts.query)
        self.assertEqual(status, 403)
        self.assertIn("<Code>SignatureDoesNotMatch</Code>", body)

    def test_an_unknown_bucket(self):
        self.refused("NoSuchBucket", self.falcon.get_object, Bucket="nowhere", Key="x")

    def test_no_operation_reaches_the_neighbour(self):
        upload = self.hawk.create_multipart_upload(Bucket="hawks", Key="up")["UploadId"]
        self.read("secret", self.hawk, "hawks")  # it is cached: a hit must not leak either
        s3 = self.falcon
        theirs = dict(Bucket="hawks", Key="secret")
        for call, arguments in [
                (s3.get_object, theirs), (s3.get_object, dict(theirs, Range="bytes=0-1")),
                (s3.put_object, dict(theirs, Body=b"x")), (s3.delete_object, theirs),
                (s3.create_multipart_upload, theirs),
                (s3.upload_part, dict(Bucket="hawks", Key="up", PartNumber=1, UploadId=upload,
                                      Body=b"x")),
                (s3.list_parts, dict(Bucket="hawks", Key="up", UploadId=upload)),
                (s3.abort_multipart_upload, dict(Bucket="hawks", Key="up", UploadId=upload)),
                (s3.list_objects_v2, dict(Bucket="hawks")),
                (s3.list_objects, dict(Bucket="hawks", Prefix="s")),
                (s3.delete_objects, dict(Bucket="hawks", Delete={"Objects": [{"Key": "secret"}]})),
                (s3.get_bucket_location, dict(Bucket="hawks")),
                (s3.copy_object, dict(Bucket="falcons", Key="stolen",
                                      CopySource={"Bucket": "hawks", "Key": "secret"})),
                (s3.copy_object, dict(Bucket="hawks", Key="planted",
                                      CopySource={"Bucket": "falcons", "Key": "mine"}))]:
            with self.subTest(call=call.__name__, arguments=arguments):
                self.refused("AccessDenied", call, **arguments)
        self.refused("403", s3.head_object, **theirs)
        self.refused("403", s3.head_bucket, Bucket="hawks")
        self.assertEqual(self.read("secret", self.hawk, "hawks")[0], b"hawk")
        self.assertEqual([b["Name"] for b in s3.list_buckets()["Buckets"]], ["falcons"])

    def test_a_key_cannot_climb_out_of_its_mount(self):
        for target in ["/falcons/../hawks/secret", "/falcons/%2e%2e/hawks/secret",
                       "/falcons/..%2fhawks/secret", "/falcons/x/../../hawks/secret"]:
            request_key = target[len("/falcons/"):]
            with self.subTest(target=target), self.assertRaises(Exception):
                self.falcon.get_object(Bucket="falcons", Key=urllib.parse.unquote(request_key))

    def test_keys_change_while_running(self):
        self.write_config(extra="""\
- name: eagle
  keys: [{accessKeyID: EAGLE, secretAccessKey: eaglesecret}]
  access: [{mount: /falcons, verbs: [Read]}]
""")
        eagle = client(self.port, "EAGLE", "eaglesecret")
        self.refused("InvalidAccessKeyId", eagle.get_object, Bucket="falcons", Key="mine")
        self.agent.send_signal(signal.SIGHUP)

        def reads():
            try:
                return self.read("mine", eagle)[0] == b"falcon"
            except Exception:
                return False
        wait_until("the new tenant reads", reads, 20)
        self.refused("AccessDenied", eagle.put_object, Bucket="falcons", Key="mine", Body=b"x")


if __name__ == "__main__":
    main()
