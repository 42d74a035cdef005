"""What is cached, what is fetched, what a client sees."""
import base64
import datetime
import hashlib
import http.client
import random
import statistics
import threading
import time
import urllib.parse
import urllib.request

from rig import MIB, Rig, main, pattern, wait_until


class Reads(Rig):
    def test_second_epoch_reads_nothing_from_the_origin(self):
        shards = {f"shard-{i}": pattern(3 * MIB + i * 1000 + 7, i) for i in range(6)}
        for key, body in shards.items():
            self.put_at_origin("falcons/epochs/" + key, body)
        for key, body in shards.items():
            self.assertEqual(self.read("epochs/" + key)[0], body)
        before = (self.origin_gets(), self.metric("sluice_agent_origin_bytes_total"))
        for key, body in shards.items():
            data, headers = self.read("epochs/" + key)
            self.assertEqual(data, body)
            self.assertEqual(headers["x-sluice-cache"], "hit")
            self.assertEqual(headers["etag"], f'"{hashlib.md5(body).hexdigest()}"')
        self.assertEqual(before, (self.origin_gets(), self.metric("sluice_agent_origin_bytes_total")))

    def test_headers_and_metadata_come_through_on_hit_and_miss(self):
        self.put_at_origin("falcons/meta", b"x" * 500, ContentType="image/png",
                           CacheControl="no-cache", Metadata={"camera": "left"})
        for _ in range(2):
            answer = self.falcon.get_object(Bucket="falcons", Key="meta")
            self.assertEqual(answer["ContentType"], "image/png")
            self.assertEqual(answer["CacheControl"], "no-cache")
            self.assertEqual(answer["Metadata"], {"camera": "left"})
            self.assertEqual(answer["ContentLength"], 500)
            answer["Body"].read()
        head = self.falcon.head_object(Bucket="falcons", Key="meta")
        self.assertEqual(head["Metadata"], {"camera": "left"})
        answer = self.falcon.get_object(Bucket="falcons", Key="meta",
                                        ResponseContentType="text/csv",
                                        ResponseContentDisposition="attachment")
        self.assertEqual((answer["ContentType"], answer["ContentDisposition"]),
                         ("text/csv", "attachment"))

    def test_checksums_are_told_by_hits_and_misses_alike(self):
        self.put_at_origin("falcons/summed", b"y" * 3000, ChecksumAlgorithm="SHA256")
        wanted = base64.b64encode(hashlib.sha256(b"y" * 3000).digest()).decode()
        before = self.origin_gets()
        for cache in ("miss", "hit", "hit"):
            answer = self.falcon.get_object(Bucket="falcons", Key="summed", ChecksumMode="ENABLED")
            self.assertEqual(answer["Body"].read(), b"y" * 3000)
            self.assertEqual((answer["ChecksumSHA256"], answer["ChecksumType"]),
                             (wanted, "FULL_OBJECT"))
            self.assertEqual(answer["ResponseMetadata"]["HTTPHeaders"]["x-sluice-cache"], cache)
        self.assertEqual(self.origin_gets() - before, 1)
        head = self.falcon.head_object(Bucket="falcons", Key="summed", ChecksumMode="ENABLED")
        self.assertEqual(head["ChecksumSHA256"], wanted)
        url = self.falcon.generate_presigned_url(
            "get_object", Params={"Bucket": "falcons", "Key": "summed", "ChecksumMode": "ENABLED"})
        told = urllib.request.Request(url, headers={"x-amz-checksum-mode": "ENABLED"})  # it is signed
        with urllib.request.urlopen(told, timeout=30) as presigned:
            self.assertEqual((presigned.headers["x-amz-checksum-sha256"], presigned.read()),
                             (wanted, b"y" * 3000))
        part = self.falcon.get_object(Bucket="falcons", Key="summed", Range="bytes=0-9",
                                      ChecksumMode="ENABLED")
        self.assertNotIn("ChecksumSHA256", part)
        self.assertEqual(part["Body"].read(), b"y" * 10)

    def test_a_range_fetches_only_its_chunks(self):
        body = pattern(40 * MIB)
        self.put_at_origin("falcons/ranged", body)
        before = self.metric("sluice_agent_origin_bytes_total", direction="in")
        first, last = 20 * MIB + 100, 21 * MIB + 50
        data, headers = self.read("ranged", Range=f"bytes={first}-{last}")
        self.assertEqual(data, body[first:last + 1])
        self.assertEqual(headers["content-range"], f"bytes {first}-{last}/{len(body)}")
        # What was asked for came before the rest of the last chunk: who reads all of both waits for it.
        both, _ = self.read("ranged", Range=f"bytes={20 * MIB}-{22 * MIB - 1}")
        self.assertEqual(both, body[20 * MIB:22 * MIB])
        fetched = self.metric("sluice_agent_origin_bytes_total", direction="in") - before
        self.assertEqual(fetched, 2 * MIB)

    def test_every_form_of_range(self):
        body = pattern(3 * MIB + 5)
        self.put_at_origin("falcons/forms", body)
        size = len(body)
        for text, expected in [("bytes=0-0", body[:1]), ("bytes=-5", body[-5:]),
                               (f"bytes={size - 1}-", body[-1:]), ("bytes=5-", body[5:]),
                               (f"bytes=10-{size * 2}", body[10:]),
                               (f"bytes=-{size * 3}", body)]:
            self.assertEqual(self.read("forms", Range=text)[0], expected, text)
        rng = random.Random(7)
        for _ in range(40):
            a = rng.randrange(size)
            b = rng.randrange(a, size)
            self.assertEqual(self.read("forms", Range=f"bytes={a}-{b}")[0], body[a:b + 1])
        self.refused("InvalidRange", self.falcon.get_object, Bucket="falcons", Key="forms",
                     Range=f"bytes={size}-")

    def test_an_unsatisfiable_range_of_an_object_never_seen(self):
        self.put_at_origin("falcons/short", b"abc")
        said = self.refused("InvalidRange", self.falcon.get_object, Bucket="falcons", Key="short",
                            Range="bytes=5000000-")["Error"]
        self.assertEqual((said["RangeRequested"], said["ActualObjectSize"]), ("bytes=5000000-", "3"))
        self.assertEqual(self.read("short", Range="bytes=-2")[0], b"bc")

    def test_empty_objects(self):
        self.put_at_origin("falcons/empty", b"")
        for _ in range(2):
            self.assertEqual(self.read("empty")[0], b"")
        said = self.refused("InvalidRange", self.falcon.get_object, Bucket="falcons", Key="empty",
                            Range="bytes=0-5")["Error"]
        # The CRT's clients read everything by ranges and take an empty object for one by this.
        self.assertEqual(said["ActualObjectSize"], "0")

    def test_the_part_of_an_object_made_of_no_bytes(self):
        name = {"Bucket": "training", "Key": "falcons/nothing"}
        upload = self.origin.create_multipart_upload(**name)["UploadId"]
        part = self.origin.upload_part(**name, UploadId=upload, PartNumber=1, Body=b"")["ETag"]
        self.origin.complete_multipart_upload(
            **name, UploadId=upload, MultipartUpload={"Parts": [{"ETag": part, "PartNumber": 1}]})
        # What the CRT's clients ask next when a range of an object was refused for its emptiness.
        body, headers = self.read("nothing", PartNumber=1)
        self.assertEqual((body, headers["content-length"], headers.get("content-range")),
                         (b"", "0", None))

    def test_conditions(self):
        self.put_at_origin("falcons/cond", b"one")
        etag = self.falcon.head_object(Bucket="falcons", Key="cond")["ETag"]
        self.refused("304", self.falcon.get_object, Bucket="falcons", Key="cond", IfNoneMatch=etag)
        self.refused("PreconditionFailed", self.falcon.get_object, Bucket="falcons", Key="cond",
                     IfMatch='"other"')
        self.assertEqual(self.read("cond", IfMatch=etag)[0], b"one")
        later = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=0)
        self.refused("PreconditionFailed", self.falcon.get_object, Bucket="falcons", Key="cond",
                     IfUnmodifiedSince=later - datetime.timedelta(days=1))

    def test_many_clients_of_one_cold_object_cost_one_fetch_of_each_chunk(self):
        body = pattern(12 * MIB, 3)
        self.put_at_origin("falcons/stampede", body)
        before = self.metric("sluice_agent_origin_bytes_total", direction="in")
        wrong = []

        def one():
            if self.read("stampede")[0] != body:
                wrong.append(1)

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(self.metric("sluice_agent_origin_bytes_total", direction="in") - before,
                         len(body))

    def test_keys_that_need_encoding(self):
        for key in ["a b+c", "ü/ñ", "per%20cent", "tilde~", "semi;colon=1", "q?x&y", "//double"]:
            body = key.encode()
            try:
                self.put_at_origin("falcons/enc/" + key, body)
            except Exception:  # the origin's own limits (a path cannot hold "//")
                continue
            self.assertEqual(self.read("enc/" + key)[0], body, key)

    def test_presigned_urls(self):
        self.put_at_origin("falcons/signed", b"presigned")
        url = self.falcon.generate_presigned_url(
            "get_object", Params={"Bucket": "falcons", "Key": "signed"}, ExpiresIn=60)
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b"presigned"))
        connection.close()

    def test_a_body_just_above_one_segment_does_not_wait_for_a_delayed_acknowledgement(self):
        # Beside each one a body within a segment, which waits for nobody: what a busy machine delays, it delays
        # in both; a stall would be 40 ms on each of the others.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sizes = (20, *range(60, 71))
        targets, times = {}, {True: [], False: []}
        for kib in sizes:
            self.put_at_origin(f"falcons/nagle-{kib}", pattern(kib << 10))
            parts = urllib.parse.urlsplit(self.falcon.generate_presigned_url(
                "get_object", Params={"Bucket": "falcons", "Key": f"nagle-{kib}"}, ExpiresIn=3600))
            targets[kib] = f"{parts.path}?{parts.query}"
        for i in range(12):
            for kib in sizes[1:]:
                for each in (sizes[0], kib):
                    start = time.perf_counter()
                    connection.request("GET", targets[each])
                    body = connection.getresponse().read()
                    if i >= 2:
                        times[each == kib].append(time.perf_counter() - start)
                    self.assertEqual(len(body), each << 10)
        connection.close()
        above, within = times[True], times[False]
        self.assertLess(statistics.median(above) - statistics.median(within), 0.005)
        late = [sum(t > 0.035 for t in each) / len(each) for each in (above, within)]
        self.assertLess(late[0] - late[1], 0.05)

    def test_pages_tell_health_and_metrics(self):
        self.assertEqual(self.page("/healthz")[0], 200)
        self.assertEqual(self.page("/nowhere")[0], 404)
        text = self.page("/metrics")[1]
        for name in ["sluice_agent_requests_total", "sluice_agent_request_duration_seconds_bucket",
                     "sluice_agent_cache_bytes", "sluice_agent_cache_corrupt_chunks_total"]:
            self.assertIn(name, text)
        self.assertNotIn("secret", text)
        self.assertGreater(self.metric("process_cpu_seconds_total"), 0)
        self.assertGreater(self.metric("process_resident_memory_bytes"), 1 << 20)
        self.assertRegex(text, r'\nprocess_open_fds\{site="[^"]*"\} [1-9]')


class Freshness(Rig):
    ttl = "1s"

    def test_a_change_made_elsewhere_is_seen_within_the_bound_and_never_mixed(self):
        old, new = pattern(5 * MIB, 1), pattern(5 * MIB + 9, 2)
        self.put_at_origin("falcons/moving", old)
        self.assertEqual(self.read("moving")[0], old)
        self.put_at_origin("falcons/moving", new)
        deadline = time.monotonic() + 30
        while True:
            data = self.read("moving")[0]
            self.assertIn(data, (old, new))
            if data == new:
                break
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.read("moving")[0], new)

    def test_an_unchanged_object_is_revalidated_without_reading_it_again(self):
        body = pattern(2 * MIB)
        self.put_at_origin("falcons/still", body)
        self.read("still")
        gets = self.origin_gets()
        word = wait_until("a revalidation", lambda: self.read("still")[1]["x-sluice-cache"]
                          == "revalidated")
        self.assertTrue(word)
        self.assertEqual(self.origin_gets(), gets)


class Pressure(Rig):
    memory = "16Mi"
    disk = "0"

    def test_objects_larger_than_memory_pass_through_it_rightly(self):
        body = pattern(48 * MIB, 5)
        self.put_at_origin("falcons/huge", body)
        for _ in range(2):
            self.assertEqual(self.read("huge")[0], body)
        self.assertLessEqual(self.metric("sluice_agent_memory_used_bytes"), 16 * MIB)
        self.assertGreater(self.metric("sluice_agent_cache_evicted_chunks_total"), 0)


if __name__ == "__main__":
    main()
