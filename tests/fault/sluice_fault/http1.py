"""As much of HTTP/1.1 as a proxy of one client and one server needs: heads, lengths, chunks."""
import dataclasses
import urllib.parse

HEAD_LIMIT = 1 << 16
HOP_HEADERS = {"transfer-encoding", "content-length", "connection", "accept-encoding", "keep-alive"}


class Ended(Exception):
    """The other side closed the connection between two messages, or within one."""


@dataclasses.dataclass
class Head:
    start: str
    headers: list

    def get(self, name, default=""):
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return default

    def passed_on(self):
        return [(k, v) for k, v in self.headers if k.lower() not in HOP_HEADERS]


async def read_head(reader):
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (EOFError, ConnectionError, OSError) as error:  # IncompleteReadError is an EOFError
        raise Ended() from error
    start, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    return Head(start, [tuple(part.strip() for part in line.split(":", 1)) for line in lines])


async def chunks(reader, head):
    """The pieces of a body, as they come."""
    try:
        if head.get("transfer-encoding").lower() == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                yield await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readuntil(b"\r\n")
        elif length := int(head.get("content-length", "0") or "0"):
            yield await reader.readexactly(length)
    except (EOFError, ConnectionError, OSError) as error:
        raise Ended() from error


async def read_body(reader, head):
    return b"".join([piece async for piece in chunks(reader, head)])


async def lines(reader, head):
    """The lines of a body without their ends, as they come."""
    rest = b""
    async for piece in chunks(reader, head):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line


def message(start, headers, body):
    text = start + "\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers)
    return text.encode("latin-1") + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


async def dribble(writer, data):
    """Writes a byte at a time, each a TLS record and a packet of its own."""
    for at in range(len(data)):
        writer.write(data[at:at + 1])
        await writer.drain()


class ChunkedAnswer:
    """An answer of lines whose end nobody knows yet; `slow` sends it a byte at a time."""

    def __init__(self, writer, slow):
        self._writer, self._slow = writer, slow

    async def _put(self, data):
        if self._slow:
            await dribble(self._writer, data)
        else:
            self._writer.write(data)
            await self._writer.drain()

    async def begin(self, head):
        text = head.start + "\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.passed_on())
        await self._put(text.encode("latin-1") + b"Transfer-Encoding: chunked\r\n\r\n")

    async def line(self, line):
        await self.part(line + b"\n")

    async def part(self, data):
        await self._put(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self):
        await self._put(b"0\r\n\r\n")


class Request:
    """A request of the controller: what it is about, as far as faults are chosen by it."""

    def __init__(self, head, body):
        self.head, self.body = head, body
        self.method, self.target, _ = head.start.split(" ", 2)
        split = urllib.parse.urlsplit(self.target)
        self.path = split.path
        self.query = dict(urllib.parse.parse_qsl(split.query))
        self.is_watch = self.query.get("watch") in ("1", "true")
        self.is_stream = self.is_watch and self.query.get("sendInitialEvents") == "true"
        self.is_write = self.method != "GET"
        self.is_counted = ("/leases" not in self.path and "/tokenreviews" not in self.path
                           and self.path.startswith("/api"))

    def list_target(self, version=None):
        """The same collection as it was at `version`, or as it is."""
        kept = {k: v for k, v in self.query.items() if k in ("labelSelector", "fieldSelector")}
        exact = {"resourceVersion": version, "resourceVersionMatch": "Exact"} if version else {}
        return self._target({**kept, **exact})

    def watch_target(self, version):
        """The same watch, from `version` on and without initial events."""
        kept = {k: v for k, v in self.query.items()
                if k not in ("sendInitialEvents", "resourceVersionMatch")}
        return self._target({**kept, "resourceVersion": version})

    def timed_target(self, seconds):
        """The same watch, over after `seconds`."""
        return self._target({**self.query, "timeoutSeconds": str(seconds)})

    def _target(self, query):
        return self.path + ("?" + urllib.parse.urlencode(query) if query else "")

    def bytes(self, target=None):
        headers = self.head.passed_on()
        return message(f"{self.method} {target or self.target} HTTP/1.1", headers, self.body)
