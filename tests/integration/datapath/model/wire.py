"""As much HTTP/1.1 and SigV4 as the checker needs, on asyncio streams: quick, and able to misbehave."""
import asyncio
import base64
import hashlib
import hmac
import time
import urllib.parse
import zlib

EMPTY = hashlib.sha256(b"").hexdigest()
PIECE = 1 << 16


class Broken(Exception):
    """The connection ended before the message did."""


class Head:
    def __init__(self, first_line, headers):
        self.first_line = first_line
        self.headers = headers

    @property
    def status(self):
        return int(self.first_line.split(" ", 2)[1])


async def read_head(reader):
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
        raise Broken(str(error)) from error
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Head(first, headers)


async def read_chunked(reader):
    out = bytearray()
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            while (await reader.readuntil(b"\r\n")) != b"\r\n":
                pass
            return bytes(out)
        out += await reader.readexactly(size)
        await reader.readexactly(2)


class Identity:
    def __init__(self, key, secret, region="us-east-1"):
        self.key = key
        self.secret = secret
        self.region = region
        self._day = self._derived = None

    def _key_of(self, day):
        if day != self._day:
            derived = ("AWS4" + self.secret).encode()
            for part in (day, self.region, "s3", "aws4_request"):
                derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
            self._day, self._derived = day, derived
        return self._derived

    def sign(self, method, path, query, headers):
        """Adds x-amz-date and authorization to `headers`; x-amz-content-sha256 is there."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers["x-amz-date"] = stamp
        names = sorted(n for n in headers if n == "host" or n.startswith("x-amz-"))
        signed = ";".join(names)
        canonical = "\n".join([
            method, path, query, *(f"{n}:{headers[n]}" for n in names), "", signed,
            headers["x-amz-content-sha256"]])
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.new(self._key_of(stamp[:8]), text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, "
                                    f"SignedHeaders={signed}, Signature={signature}")


def with_trailer(body):
    """aws-chunked with a CRC32 trailer, as today's SDKs send by default."""
    crc = zlib.crc32(body).to_bytes(4, "big")

    framed = b"".join(f"{len(body[i:i + PIECE]):x}\r\n".encode() + body[i:i + PIECE] + b"\r\n"
                      for i in range(0, len(body), PIECE))
    return framed + b"0\r\nx-amz-checksum-crc32:" + base64.b64encode(crc) + b"\r\n\r\n"


class Client:
    """One connection to the agent, remade when it broke. Not for two tasks at once."""

    def __init__(self, agent, identity):
        self.agent = agent
        self.identity = identity
        self._reader = self._writer = None

    async def _connect(self):
        if self._writer is not None and not self._writer.is_closing():
            return
        try:
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self.agent.port, limit=1 << 20)
        except OSError as error:
            raise Broken(str(error)) from error

    def close(self):
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def ask(self, method, bucket, key="", query=(), headers=(), body=b"", payload="signed",
                  cut_after=None, take=None):
        """Returns (head, body, length): `body` may be shorter than `length` when it was cut.

        cut_after: of a body sent, so many bytes and then the connection is dropped.
        take: of an answer's body, so many bytes and then the connection is dropped.
        """
        try:
            return await asyncio.wait_for(
                self._ask(method, bucket, key, query, dict(headers), body, payload, cut_after, take),
                90)
        except Broken:
            self.close()
            raise
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            self.close()
            raise Broken(repr(error)) from error

    async def _ask(self, method, bucket, key, query, headers, body, payload, cut_after, take):
        await self._connect()
        path = "/" + bucket + ("/" + urllib.parse.quote(key, safe="/-_.~") if key else "")
        text = "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}"
                        for k, v in sorted(query))
        headers["host"] = f"127.0.0.1:{self.agent.port}"
        sent = body
        if payload == "signed":
            headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest() if body else EMPTY
        elif payload == "unsigned":
            headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
        else:
            sent = with_trailer(body)
            headers["x-amz-content-sha256"] = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
            headers["x-amz-decoded-content-length"] = str(len(body))
            headers["x-amz-trailer"] = "x-amz-checksum-crc32"
            headers["content-encoding"] = "aws-chunked"
        if method in ("PUT", "POST"):
            headers["content-length"] = str(len(sent))
        self.identity.sign(method, path, text, headers)
        head = f"{method} {path}{'?' + text if text else ''} HTTP/1.1\r\n" + "".join(
            f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\n"
        if cut_after is not None:
            self._writer.write(head.encode() + sent[:cut_after])
            await self._writer.drain()
            self.close()
            raise Broken("dropped on purpose")
        self._writer.write(head.encode() + sent)
        await self._writer.drain()
        answer = await read_head(self._reader)
        return answer, *(await self._body(answer, method, take))

    async def _body(self, answer, method, take):
        if method == "HEAD" or answer.status in (204, 304):
            return b"", 0
        if answer.headers.get("transfer-encoding") == "chunked":
            body = await read_chunked(self._reader)
            return body, len(body)
        length = int(answer.headers.get("content-length", "0"))
        wanted = length if take is None else min(take, length)
        body = bytearray()
        while len(body) < wanted:
            try:
                piece = await self._reader.read(min(PIECE * 4, wanted - len(body)))
            except OSError:
                piece = b""
            if not piece:
                break
            body += piece
        if len(body) < length or answer.headers.get("connection") == "close":
            self.close()
        return bytes(body), length
