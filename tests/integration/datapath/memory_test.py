"""Memory and descriptors stay under their limits, whatever a thousand slow readers do."""
import hashlib
import http.server
import os
import pathlib
import re
import selectors
import socket
import socketserver
import threading
import time
import urllib.parse

from rig import MIB, Rig, main, wait_until

GIB = 1 << 30
POOL = 256 * MIB
# Beside the pool: code, index, stacks, and what the kernel counts of a process.
PROCESS = 96 * MIB
READERS = 1000
OBJECTS = 24


class Zeros(http.server.BaseHTTPRequestHandler):
    """Objects of 1 GiB, each made of one byte: nothing is kept, so nothing limits the origin."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_PUT(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self._answer(None)

    def do_GET(self):
        self._answer(re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")))

    def _answer(self, asked):
        name = urllib.parse.urlsplit(self.path).path
        first, last = (int(asked[1]), min(int(asked[2]), GIB - 1)) if asked else (0, GIB - 1)
        self.send_response(206 if asked else 200)
        self.send_header("ETag", '"' + hashlib.md5(name.encode()).hexdigest() + '"')
        self.send_header("Content-Length", str(last - first + 1))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{GIB}")
        self.end_headers()
        if self.command == "GET":
            block = name.encode()[-1:] * MIB
            left = last - first + 1
            while left > 0:
                self.wfile.write(block[:left])
                left -= min(left, MIB)


class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass  # a connection the agent left


class Memory(Rig):
    memory = str(POOL)
    disk = "0"

    @classmethod
    def start_origin(cls):
        cls.server = Threads(("127.0.0.1", cls.origin_port), Zeros)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.server.shutdown()
        cls.server.server_close()

    def resident(self):
        text = pathlib.Path(f"/proc/{self.agent.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.agent.pid}/fd"))

    def test_a_thousand_slow_readers_of_large_objects(self):
        readers, read = selectors.DefaultSelector(), {}
        for i in range(READERS):
            key = f"object-{chr(97 + i % OBJECTS)}"
            url = urllib.parse.urlsplit(self.falcon.generate_presigned_url(
                "get_object", Params={"Bucket": "falcons", "Key": key}, ExpiresIn=3600))
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            reader.settimeout(60)
            reader.connect(("127.0.0.1", self.port))
            start = GIB // READERS * i  # each in another part of its object
            reader.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                           f"Range: bytes={start}-\r\n\r\n".encode())
            reader.setblocking(False)
            readers.register(reader, selectors.EVENT_READ, (key, start))
            read[reader] = b""
        highest, deadline = 0, time.monotonic() + 25
        answered = refused = 0
        while time.monotonic() < deadline and read:
            for event, _ in readers.select(0.2):
                reader, (key, _) = event.fileobj, event.data
                try:
                    piece = reader.recv(2000)
                except BlockingIOError:
                    continue
                except ConnectionError:
                    piece = b""
                if not piece:
                    readers.unregister(reader)
                    del read[reader]
                    reader.close()
                    continue
                if not read[reader]:
                    status = int(piece.split(b" ")[1])
                    self.assertIn(status, (206, 503), piece[:200])
                    answered += status == 206
                    refused += status == 503
                    body = piece.split(b"\r\n\r\n", 1)[1] if status == 206 else b""
                else:
                    body = piece
                if b"206 Partial" in read[reader][:20] or not read[reader] and body:
                    self.assertEqual(body.strip(key[-1:].encode()), b"", "a foreign byte")
                read[reader] = read[reader] or piece[:20]
            used = self.metric("sluice_agent_memory_used_bytes")
            highest = max(highest, self.resident())
            self.assertLessEqual(used, POOL)
            self.assertLess(highest, POOL + PROCESS)
            self.assertLess(self.descriptors(), READERS + 400)
        print(f"{answered} served, {refused} told to slow down, resident at most "
              f"{highest / MIB:.0f} MiB of {POOL / MIB:.0f} + {PROCESS / MIB:.0f}")
        # A chunk each, of 224 in the tier, a quarter of which may be what others have ahead of them.
        self.assertGreater(answered, 150)
        for reader in list(read):
            readers.unregister(reader)
            reader.close()
        readers.close()

        def served():
            try:
                return self.falcon.get_object(Bucket="falcons", Key="object-z",
                                              Range="bytes=0-99")["Body"].read() == b"z" * 100
            except Exception:
                return False
        wait_until("it serves again", served)
        wait_until("their connections are gone", lambda: self.descriptors() < 400)


if __name__ == "__main__":
    main()
