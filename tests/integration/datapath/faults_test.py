"""Origin down, kill -9 and warm restart, drain, bad configuration, bad HTTP."""
import signal
import socket
import subprocess
import time
import urllib.parse

from rig import AGENT, MIB, Rig, main, pattern, wait_until


class Faults(Rig):
    ttl = "1s"

    def test_cached_reads_survive_the_origin_and_cold_ones_fail_properly(self):
        body = pattern(4 * MIB, 1)
        self.put_at_origin("falcons/kept", body)
        self.put_at_origin("falcons/never-read", b"x")
        self.read("kept")
        listed = self.falcon.list_objects_v2(Bucket="falcons", Prefix="ke")["KeyCount"]
        self.stop_origin()
        try:
            time.sleep(1.2)  # beyond the TTL: what is known must be confirmed, and cannot be
            for _ in range(3):
                self.assertEqual(self.read("kept")[0], body)
            self.assertGreater(self.metric("sluice_agent_stale_served_total"), 0)
            self.assertEqual(self.falcon.list_objects_v2(Bucket="falcons", Prefix="ke")["KeyCount"],
                             listed)
            for _ in range(3):
                start = time.monotonic()
                answer = self.refused("ServiceUnavailable", self.falcon.get_object,
                                      Bucket="falcons", Key="never-read")
                self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 503)
                self.assertLess(time.monotonic() - start, 15)
            self.assertGreater(self.metric("sluice_agent_requests_total", outcome="server_error"), 0)
            self.assertEqual(self.page("/readyz")[0], 200)
        finally:
            self.heal("never-read")
        self.assertEqual(self.read("never-read")[0], b"x")

    def test_kill_9_and_a_warm_restart(self):
        bodies = {f"warm-{i}": pattern(MIB + i, i) for i in range(8)}
        before = self.metric("sluice_agent_cache_bytes", tier="nvme")  # of other tests
        for key, body in bodies.items():
            self.put_at_origin("falcons/" + key, body)
            self.read(key)
        wait_until("everything is on disk",
                   lambda: self.metric("sluice_agent_cache_bytes", tier="nvme")
                   >= before + sum(map(len, bodies.values())))
        self.agent.kill()
        self.agent.wait()
        self.start_agent()
        wait_until("the index is loaded",
                   lambda: self.metric("sluice_agent_cache_recovered_chunks_total") >= 16)
        for key, body in bodies.items():
            data, headers = self.read(key)
            self.assertEqual(data, body)
            self.assertEqual(headers["x-sluice-cache"], "revalidated")
        self.assertEqual(self.origin_gets(), 0)
        # The short last chunks may have been read ahead into memory before they were sent.
        self.assertGreaterEqual(self.metric("sluice_agent_sent_bytes_total", source="nvme"), 8 * MIB)

    def test_a_restart_while_the_origin_is_away_serves_what_is_on_disk(self):
        body = pattern(2 * MIB, 8)
        before = self.metric("sluice_agent_cache_bytes", tier="nvme")
        self.put_at_origin("falcons/alone", body)
        self.put_at_origin("falcons/deleted", body)
        for key in ("alone", "deleted"):
            self.read(key)
        wait_until("both are on disk",
                   lambda: self.metric("sluice_agent_cache_bytes", tier="nvme")
                   >= before + 2 * len(body))
        self.falcon.delete_object(Bucket="falcons", Key="deleted")
        self.agent.kill()
        self.agent.wait()
        self.stop_origin()
        try:
            self.start_agent()
            self.assertEqual(self.read("alone")[0], body)
            self.refused("ServiceUnavailable", self.falcon.get_object, Bucket="falcons",
                         Key="deleted")
        finally:
            self.heal("deleted")

    def test_a_drain_finishes_what_is_being_sent_and_ends_with_0(self):
        body = pattern(24 * MIB, 2)
        self.put_at_origin("falcons/slow", body)
        self.read("slow")
        parts = urllib.parse.urlsplit(self.falcon.generate_presigned_url(
            "get_object", Params={"Bucket": "falcons", "Key": "slow"}, ExpiresIn=60))
        reader = socket.create_connection(("127.0.0.1", self.port))
        reader.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}"
                       "\r\n\r\n".encode())
        data = reader.recv(1000)
        self.agent.send_signal(signal.SIGTERM)
        wait_until("not ready any more", lambda: not self.ready(), 20)
        while True:
            piece = reader.recv(1 << 20)
            data += piece
            if not piece or len(data) > len(body) and data.endswith(body[-1000:]):
                break
        reader.close()
        self.assertTrue(data.endswith(body))
        self.assertEqual(self.agent.wait(40), 0)
        self.start_agent()

    def test_bad_http_is_answered_with_400_and_others_are_not_disturbed(self):
        for text in [b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                     b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n",
                     b"GET /x HTTP/9.9\r\nHost: a\r\n\r\n"]:
            with socket.create_connection(("127.0.0.1", self.port), 10) as raw:
                raw.settimeout(10)
                raw.sendall(text)
                answer = raw.recv(4096)
                self.assertRegex(answer, rb"^HTTP/1\.1 (4|5)\d\d ", text)
        self.assertGreater(self.metric("sluice_agent_bad_requests_total"), 0)

    def test_pipelined_requests_are_answered_in_order(self):
        for i in range(5):
            self.put_at_origin(f"falcons/pipe-{i}", pattern(40_000 + i, i))
        targets = [urllib.parse.urlsplit(self.falcon.generate_presigned_url(
            "get_object", Params={"Bucket": "falcons", "Key": f"pipe-{i}"}, ExpiresIn=60))
            for i in range(5)]
        with socket.create_connection(("127.0.0.1", self.port), 10) as raw:
            raw.settimeout(20)
            raw.sendall(b"".join(
                f"GET {t.path}?{t.query} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode()
                for t in targets))
            stream = raw.makefile("rb")
            for i in range(5):
                self.assertIn(b"200", stream.readline())
                length = 0
                while (line := stream.readline()) != b"\r\n":
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                self.assertEqual(stream.read(length), pattern(40_000 + i, i))

    def test_the_unix_socket_serves_the_same(self):
        self.put_at_origin("falcons/local", b"over unix")
        parts = urllib.parse.urlsplit(self.falcon.generate_presigned_url(
            "get_object", Params={"Bucket": "falcons", "Key": "local"}, ExpiresIn=60))
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(20)
            raw.connect(str(self.folder / "s3.sock"))
            raw.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}"
                        "\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while piece := raw.recv(65536):
                data += piece
        self.assertTrue(data.endswith(b"over unix"), data)

    def test_a_wrong_flag_or_file_ends_with_2_and_one_line(self):
        bad = self.folder / "bad.yaml"
        bad.write_text("site: x\nnode: y\nbogus: 1\n")
        for arguments in [["--bogus"], [], ["--config", "/nowhere"], ["--config", str(bad)]]:
            done = subprocess.run([AGENT, *arguments], capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        done = subprocess.run([AGENT, "check", "--config", self.config], capture_output=True,
                              text=True, timeout=20)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("memory segments", done.stdout)


if __name__ == "__main__":
    main()
