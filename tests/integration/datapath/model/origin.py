"""An S3 origin that holds the truth and lies about nothing but fails in every way.

Its faults are drawn for each request from its own seeded generator, by the rates in force:

  status      500 or 503 instead of an answer
  reset       the connection is reset before a head
  cut         it is reset in the middle of the body, or ended as if that were all
  lost        a write is done, and the answer is not sent
  garbage     bytes that are not HTTP
  mislength   Content-Range speaks of more than Content-Length
  whole       Range is ignored: 200 and everything
  noetag      no validator
  slow        the body comes in small pieces
  stall       nothing for a while, then the answer
"""
import asyncio
import base64
import random
import re
import socket
import struct
import urllib.parse
import zlib
from email.utils import formatdate
from xml.sax.saxutils import escape

from truth import Wrong
from wire import Broken, read_chunked, read_head

UNREACHABLE = ("status", "reset", "cut", "lost", "garbage", "mislength")


class Origin:
    def __init__(self, truth, bucket, seed, on_wrong):
        self.truth = truth
        self.bucket = bucket
        self.random = random.Random(seed)
        self.rates = {}
        self.away = False
        self.requests = 0
        self.faults = {}
        self.expected = {}  # origin key -> versions that a client is sending there
        self._on_wrong = on_wrong
        self._writers = set()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    def set_away(self, away):
        """While away every connection is reset."""
        self.away = away
        if away:
            self.truth.origin_unreliable = True
            for writer in list(self._writers):
                self._reset(writer)

    def set_rates(self, rates):
        self.rates = rates
        if any(name in UNREACHABLE for name in rates):
            self.truth.origin_unreliable = True

    def stop(self):
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def _draw(self, names):
        for name in names:
            if self.random.random() < self.rates.get(name, 0):
                self.faults[name] = self.faults.get(name, 0) + 1
                return name
        return None

    @staticmethod
    def _reset(writer):
        sock = writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        try:
            while not self.away and await self._exchange(reader, writer):
                pass
        except (Broken, OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError):
            pass
        except Wrong as wrong:
            self._on_wrong(wrong)
        finally:
            self._writers.discard(writer)
            if self.away:
                self._reset(writer)
            else:
                writer.close()

    async def _exchange(self, reader, writer):
        head = await read_head(reader)
        method, target, _ = head.first_line.split(" ")
        path, _, query = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        _, bucket, *rest = urllib.parse.unquote(path).split("/", 2)
        key = rest[0] if rest else ""
        body = b""
        if head.headers.get("transfer-encoding") == "chunked":
            body = await read_chunked(reader)
        elif "content-length" in head.headers:
            body = await reader.readexactly(int(head.headers["content-length"]))
        self.requests += 1
        if bucket != self.bucket:
            raise Wrong(f"the agent asked for bucket {bucket}")
        if "authorization" not in head.headers:
            raise Wrong("the agent sent a request unsigned")
        fault = self._draw(("stall", "status", "reset", "garbage"))
        if fault == "stall":
            await asyncio.sleep(self.random.uniform(0.05, 0.4))
        elif fault == "reset":
            self._reset(writer)
            return False
        elif fault == "garbage":
            writer.write(b"!! not http at all !!\r\n\r\n")
            await writer.drain()
            return False
        elif fault == "status":
            status = self.random.choice(("503 Slow Down", "500 Internal Server Error"))
            return await self._answer(writer, method, status, {}, b"<Error><Code>InternalError</Code>"
                                      b"<Message>m</Message></Error>")
        if method in ("GET", "HEAD"):
            if not key:
                return await self._list(writer, query)
            return await self._read(writer, method, key, head.headers)
        return await self._write(writer, method, key, query, head.headers, body)

    async def _answer(self, writer, method, status, headers, body, pieces=None):
        headers = {"content-length": str(len(body)), **headers}
        writer.write((f"HTTP/1.1 {status}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items())
                      + "\r\n").encode())
        if method != "HEAD":
            step = pieces or len(body) or 1
            for i in range(0, len(body), step):
                writer.write(body[i:i + step])
                await writer.drain()
                if pieces:
                    await asyncio.sleep(0.002)
        await writer.drain()
        return True

    async def _read(self, writer, method, key, asked):
        version = self.truth.current(key)
        if version is None:
            return await self._answer(writer, method, "404 Not Found", {}, b"<Error><Code>NoSuchKey"
                                      b"</Code><Message>m</Message></Error>")
        if asked.get("if-match", version.etag) != version.etag:
            return await self._answer(writer, method, "412 Precondition Failed", {},
                                      b"<Error><Code>PreconditionFailed</Code></Error>")
        body, status = version.body(), "200 OK"
        headers = {"etag": version.etag, "last-modified": formatdate(usegmt=True),
                   "x-amz-meta-version": str(version.number), "content-type": "a/b"}
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.get("range", ""))
        if found and self._draw(("whole",)) is None:
            first, last = self._range(found, len(body))
            if first > last:
                return await self._answer(writer, method, "416 Range Not Satisfiable", {
                    "content-range": f"bytes */{len(body)}"}, b"")
            headers["content-range"] = f"bytes {first}-{last}/{len(body)}"
            body, status = body[first:last + 1], "206 Partial Content"
            if len(body) > 1 and self._draw(("mislength",)):
                body = body[:self.random.randrange(1, len(body))]
        if self._draw(("noetag",)):
            del headers["etag"]
        if method == "GET" and len(body) > 1 and self._draw(("cut",)):
            writer.write((f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n" + "".join(
                f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\n").encode())
            writer.write(body[:self.random.randrange(len(body))])
            await writer.drain()
            if self.random.random() < 0.5:
                self._reset(writer)
            return False
        slow = 4096 + self.random.randrange(60000) if self._draw(("slow",)) else None
        return await self._answer(writer, method, status, headers, body, slow)

    @staticmethod
    def _range(found, size):
        if not found.group(1):
            return max(0, size - int(found.group(2))), size - 1
        last = int(found.group(2)) if found.group(2) else size - 1
        return int(found.group(1)), min(last, size - 1)

    async def _write(self, writer, method, key, query, headers, body):
        if method == "POST" and "delete" in query:
            return await self._delete_many(writer, body)
        version = None
        out, answer = {}, b""
        if method == "PUT" and "x-amz-copy-source" in headers:
            source = urllib.parse.unquote(headers["x-amz-copy-source"]).split("/", 2)[2]
            version = self.truth.current(source)
            if version is None:
                return await self._answer(writer, method, "404 Not Found", {},
                                          b"<Error><Code>NoSuchKey</Code></Error>")
            answer = (f"<CopyObjectResult><ETag>{escape(version.etag)}</ETag>"
                      f"<LastModified>2026-01-01T00:00:00.000Z</LastModified></CopyObjectResult>"
                      ).encode()
        elif method == "PUT":
            number = int(headers.get("x-amz-meta-version", "0"))
            version = self.truth.versions.get(number)
            if version is None or version not in self.expected.get(key, ()):
                raise Wrong(f"the origin was sent v{number} for {key}, which nobody wrote there")
            if headers.get("content-encoding") == "aws-chunked":
                body = self._unframe(headers, body)
            elif "content-encoding" in headers:
                raise Wrong(f"the origin was sent an encoding: {headers['content-encoding']}")
            if body != version.body():
                raise Wrong(f"the origin was sent {len(body)} bytes as {version} of {key}, "
                            "which are not its")
            out = {"etag": version.etag}
        self.truth.apply(key, version, True)
        if self._draw(("lost",)):
            self._reset(writer)
            return False
        if method == "DELETE":
            return await self._answer(writer, method, "204 No Content", {}, b"")
        return await self._answer(writer, method, "200 OK", out, answer)

    @staticmethod
    def _unframe(headers, framed):
        """aws-chunked with a CRC32 behind it, as the agent passes it on."""
        body, at = bytearray(), 0
        while (size := int(framed[at:framed.index(b"\r\n", at)], 16)) > 0:
            begin = framed.index(b"\r\n", at) + 2
            body += framed[begin:begin + size]
            at = begin + size + 2
        trailer = framed[framed.index(b"\r\n", at) + 2:]
        crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big"))
        if (trailer != b"x-amz-checksum-crc32:" + crc + b"\r\n\r\n"
                or headers.get("x-amz-trailer") != "x-amz-checksum-crc32"
                or headers.get("x-amz-decoded-content-length") != str(len(body))
                or headers["x-amz-content-sha256"] != "STREAMING-UNSIGNED-PAYLOAD-TRAILER"):
            raise Wrong(f"the origin was sent a wrong framing: {trailer!r} {headers}")
        return bytes(body)

    async def _delete_many(self, writer, body):
        keys = [urllib.parse.unquote(k) for k in re.findall(r"<Key>([^<]*)</Key>", body.decode())]
        for key in keys:
            self.truth.apply(key, None, True)
        if self._draw(("lost",)):
            self._reset(writer)
            return False
        text = "".join(f"<Deleted><Key>{escape(k)}</Key></Deleted>" for k in keys)
        return await self._answer(writer, "POST", "200 OK", {"content-type": "application/xml"},
                                  f"<DeleteResult>{text}</DeleteResult>".encode())

    async def _list(self, writer, query):
        prefix = query.get("prefix", "")
        keys = sorted(k for k in self.truth.history
                      if k.startswith(prefix) and self.truth.current(k) is not None)
        rows = "".join(
            f"<Contents><Key>{escape(k)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>{escape(self.truth.current(k).etag)}</ETag>"
            f"<Size>{self.truth.current(k).size}</Size>"
            f"<StorageClass>STANDARD</StorageClass></Contents>" for k in keys)
        text = (f"<ListBucketResult><Name>{self.bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
                f"<KeyCount>{len(keys)}</KeyCount><MaxKeys>1000</MaxKeys>"
                f"<IsTruncated>false</IsTruncated>{rows}</ListBucketResult>")
        return await self._answer(writer, "GET", "200 OK", {"content-type": "application/xml"},
                                  text.encode())
