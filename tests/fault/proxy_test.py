#!/usr/bin/env python3
"""The proxy does what a fault says, and says so only when it did: before a server that answers from a list."""
import asyncio
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from sluice_fault import faults, http1, proxy  # noqa: E402

WAIT_SECONDS = 20
NODES = "/api/v1/nodes"
STREAM = NODES + "?watch=1&timeoutSeconds=480&sendInitialEvents=true"
RESUME = NODES + "?watch=1&timeoutSeconds=480&resourceVersion="


def line(kind, version, **metadata):
    thing = {"metadata": {"resourceVersion": str(version), **metadata}}
    return json.dumps({"type": kind, "object": thing}, separators=(",", ":")).encode()


def mark(version):
    return line("BOOKMARK", version, annotations={"k8s.io/initial-events-end": "true"})


class Server:
    """Answers each request with the next of `answers`: a list of a watch's lines, or an object."""

    def __init__(self, certificate, key):
        self.answers, self.targets = [], []
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate, key)
        self._loop, self._up = asyncio.new_event_loop(), threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        self._up.wait(WAIT_SECONDS)

    def _run(self):
        server = self._loop.run_until_complete(asyncio.start_server(self._client, "127.0.0.1", 0, ssl=self._tls))
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        self._loop.run_forever()

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _client(self, reader, writer):
        try:
            while True:
                head = await http1.read_head(reader)
                await http1.read_body(reader, head)
                self.targets.append(head.start.split(" ")[1])
                answer = self.answers.pop(0)
                if isinstance(answer, list):
                    send = http1.ChunkedAnswer(writer, False)
                    await send.begin(http1.Head("HTTP/1.1 200 OK", []))
                    for each in answer:
                        await send.line(each)
                    await send.end()
                else:
                    writer.write(http1.message("HTTP/1.1 200 OK", [], json.dumps(answer).encode()))
                    await writer.drain()
        except http1.Ended:
            writer.close()


class Proxy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        pair = folder / "crt", folder / "key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pair[1],
                        "-out", pair[0]], check=True, capture_output=True, timeout=WAIT_SECONDS)
        cls.server = Server(*pair)
        cls.addClassCleanup(cls.server.stop)
        cls.proxy = proxy.Proxy(("127.0.0.1", cls.server.port), pair[0].read_text(), *pair)
        cls.proxy.start()
        cls.addClassCleanup(cls.proxy.stop)
        cls.tls = ssl.create_default_context(cafile=pair[0])

    def broken(self, kind, *answers, k=1):
        """The fault, armed; the server gives these answers."""
        self.server.answers, self.server.targets = list(answers), []
        fault = faults.Fault(kind, k)
        self.proxy.reset(fault)
        self.proxy.arm(fault, "2")
        return fault

    def ask(self, target, method="GET"):
        """The pieces in which the answer came."""
        with socket.create_connection(("127.0.0.1", self.proxy.port), WAIT_SECONDS) as plain, \
                self.tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(http1.message(f"{method} {target} HTTP/1.1", [], b""))
            pieces = []
            while not self.whole(b"".join(pieces)):
                pieces.append(connection.recv(1 << 16))
                if not pieces[-1]:
                    break
            return pieces

    @staticmethod
    def whole(raw):
        head, end, body = raw.partition(b"\r\n\r\n")
        if end and b"Content-Length: " in head:
            return len(body) == int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        return body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"

    def events(self, target):
        """[(type, version or code)] of a watch."""
        raw = b"".join(self.ask(target))
        events = [json.loads(each) for each in raw.split(b"\r\n") if each.startswith(b"{")]
        return [(e["type"], e["object"].get("code") or e["object"]["metadata"]["resourceVersion"]) for e in events]

    def closes_the_gap(self):
        def act():
            self.assertTrue(self.proxy.gap.wait(WAIT_SECONDS))
            self.proxy.gap.clear()
        thread = threading.Thread(target=act)
        thread.start()
        self.addCleanup(thread.join)

    def test_a_resume_from_before_a_skipped_bookmark_is_told_that_its_version_is_compacted(self):
        fault = self.broken("bookmarks", [line("ADDED", 3), mark(5)], [line("BOOKMARK", 9)], [mark(10)])
        self.assertEqual(self.events(STREAM), [("ADDED", "3"), ("BOOKMARK", "5")])
        self.assertEqual(self.events(RESUME + "5"), [])
        self.assertFalse(fault.fired)
        self.closes_the_gap()
        self.assertEqual(self.events(RESUME + "5"), [("ERROR", 410)])
        self.assertTrue(fault.fired)
        self.assertFalse(self.proxy.settled(), "the state is to be read anew")
        self.assertEqual(self.events(STREAM), [("BOOKMARK", "10")])
        self.assertTrue(self.proxy.settled())
        self.assertEqual([target.split("timeoutSeconds=")[1].split("&")[0] for target in self.server.targets],
                         ["3", "3", "480"])

    def test_a_watch_that_had_no_bookmark_or_a_later_event_goes_on(self):
        fault = self.broken("bookmarks", [mark(5)], [], [line("BOOKMARK", 9), line("ADDED", 10)], [line("ADDED", 11)])
        self.assertEqual(self.events(STREAM) + self.events(RESUME + "5"), [("BOOKMARK", "5")])
        self.assertEqual(self.events(RESUME + "5"), [("ADDED", "10")])
        self.assertEqual(self.events(RESUME + "10"), [("ADDED", "11")])
        self.assertFalse(fault.fired)

    def test_another_watch_keeps_its_time_and_its_bookmarks(self):
        fault = self.broken("bookmarks", [mark(5)], [line("BOOKMARK", 9)], k=2)
        self.assertEqual(self.events(STREAM) + self.events(RESUME + "5"), [("BOOKMARK", "5"), ("BOOKMARK", "9")])
        self.assertEqual(self.server.targets, [STREAM, RESUME + "5"])
        self.assertFalse(fault.fired)

    def test_without_its_mark_a_stream_goes_on_or_ends(self):
        answer = [line("ADDED", 3), mark(5), line("ADDED", 6), line("BOOKMARK", 7)]
        fault = self.broken("unmarked", answer)
        self.assertEqual(self.events(STREAM), [("ADDED", "3"), ("ADDED", "6"), ("BOOKMARK", "7")])
        self.assertIn("timeoutSeconds=3", self.server.targets[0])
        self.assertTrue(fault.fired)
        fault = self.broken("mark", answer)
        self.assertEqual(self.events(STREAM), [("ADDED", "3")])
        self.assertTrue(fault.fired)
        for kind in ("mark", "unmarked"):
            fault = self.broken(kind, [line("ADDED", 3)])
            self.assertEqual(self.events(STREAM), [("ADDED", "3")])
            self.assertFalse(fault.fired, "there was no mark")

    def test_an_older_state_was_shown_only_where_the_present_is_another(self):
        def listed(*versions):
            return {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": [
                {"metadata": {"uid": "a", "resourceVersion": str(version)}} for version in versions]}

        def relisted(present):
            fault = self.broken("stale", [line("ADDED", 8)], listed(3), present, [])
            self.assertEqual(self.events(STREAM), [("ERROR", 410)])
            self.assertFalse(fault.fired or self.proxy.settled(), "nothing was shown yet")
            self.assertEqual(self.events(STREAM), [("ADDED", "3"), ("BOOKMARK", "2")])
            self.assertEqual(self.server.targets[1:], [
                NODES + "?resourceVersion=2&resourceVersionMatch=Exact", NODES,
                NODES + "?watch=1&timeoutSeconds=480&resourceVersion=2"])
            self.assertTrue(self.proxy.settled())
            return fault.fired
        self.assertTrue(relisted(listed(8)))
        self.assertTrue(relisted(listed(3, 8)))
        self.assertTrue(relisted(listed()))
        self.assertFalse(relisted(listed(3)))

    def test_the_answer_to_a_write_comes_a_byte_at_a_time(self):
        thing = {"metadata": {"name": "node-0", "resourceVersion": "3"}}
        fault = self.broken("wbytes", thing, thing, k=2)
        self.assertLess(len(self.ask(NODES, "POST")), 5)
        self.assertFalse(fault.fired)
        pieces = self.ask(NODES, "POST")
        self.assertEqual({len(piece) for piece in pieces}, {1})
        self.assertEqual(json.loads(b"".join(pieces).partition(b"\r\n\r\n")[2]), thing)
        self.assertTrue(fault.fired)


if __name__ == "__main__":
    unittest.main()
