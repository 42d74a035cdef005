"""The proxy: TLS in, TLS out, one connection upstream for each one of the controller, one Fault.

It runs on a thread of its own; `arm`, `reset` and the counters may be used from any thread. It has
no opinion about the product: it counts, breaks one thing, and writes down what went by (`journal`)
and which contents the fencing record had (`records`).
"""
import asyncio
import collections
import json
import ssl
import threading
import time

from . import faults, http1, watches
from .watches import RELIST_SECONDS, STALE_SECONDS

DELAY_SECONDS = 1.0
DROP_SECONDS = 0.3      # how long events go missing before the client is told
HOLD_SECONDS = 5.0      # how long a watch is kept down at most until the world has changed
LOOK_SECONDS = 0.02
STEPS_BACK = 3          # writes between the older state and the present
JOURNAL_LINES = 4000


class Proxy:
    def __init__(self, upstream, authority, certificate, key):
        """`upstream`: (host, port); `authority`: PEM that signs it; our own pair is two paths."""
        self._upstream = upstream
        self._to_server = ssl.create_default_context(cadata=authority)
        self._for_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._for_client.load_cert_chain(certificate, key)
        self._loop = self._end = None  # the thread's own, set before `_ready`
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._open = set()  # writers to the controller
        self.port = 0
        self.kill = lambda: None  # ends the controller at once; set before arm
        self.gap = threading.Event()  # a watch is down: the world may change now; whoever changed it clears this
        self.reset()

    def reset(self, fault=None):
        """A new case; watches are counted from here on."""
        self.armed = False
        self.fault = fault
        self.counts = collections.Counter()
        self.total_writes = 0
        self.last_write = time.monotonic()
        self.versions = []       # of what was written, in order
        self.records = {}        # version of the fencing record -> its data
        self.journal = collections.deque(maxlen=JOURNAL_LINES)
        self.watched = watches.Watched()
        self.gap.clear()
        self._older = None       # watches.Older
        self._showing = set()    # requests that are shown it
        self._owed = None        # (path or None for any, until when): what the fault ended is asked for again

    def arm(self, fault, base_version):
        self.fault = fault
        self.counts.clear()
        self.total_writes = 0
        self.versions = [base_version]
        self.armed = True

    def settled(self):
        """Whether nothing of the fault is still to come: a case that ends before has not seen what follows from it."""
        now = time.monotonic()
        return not (self._showing or (self._older and not self._older.over(now))
                    or (self._owed and now < self._owed[1]))

    def start(self):
        self._thread.start()
        self._ready.wait()
        return self.port

    def stop(self):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def present(self, certificate, key):
        """Shows another certificate to new connections, and ends those there are."""
        self._for_client.load_cert_chain(certificate, key)
        self._loop.call_soon_threadsafe(lambda: [each.transport.abort() for each in self._open])

    def show_older(self):
        """From the next list on for a while every list shows an older state. For the kind `travel`."""
        self._older = watches.Older(self._earlier(), time.monotonic() + RELIST_SECONDS)

    def _earlier(self):
        return self.versions[max(0, len(self.versions) - 1 - STEPS_BACK)]

    def _run(self):
        async def serve():
            self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
            server = await asyncio.start_server(self._client, "127.0.0.1", 0, ssl=self._for_client,
                                                limit=http1.HEAD_LIMIT << 8)
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._end.wait()
            server.close()

        asyncio.run(serve())  # cancels and awaits what still runs

    def _count(self, what):
        """Number of this point, 0 while not armed."""
        if not self.armed:
            return 0
        self.counts[what] += 1
        return self.counts[what]

    def _hits(self, what, number):
        return bool(number and self.fault and self.fault.hits(what, number))

    def _owe(self, path):
        self._owed = (path, time.monotonic() + RELIST_SECONDS)

    def _asked(self, request):
        """What was ended is asked for: a case rests from now on, not from before."""
        if self._owed and self._owed[0] in (None, request.path):
            self._owed = None
            self.last_write = time.monotonic()

    def _note(self, text):
        self.journal.append(f"{time.monotonic():.3f} {text}")

    async def _client(self, reader, writer):
        up = None
        self._open.add(writer)
        try:
            while True:
                head = await http1.read_head(reader)
                request = http1.Request(head, await http1.read_body(reader, head))
                if up is None:
                    up = await asyncio.open_connection(*self._upstream, ssl=self._to_server,
                                                       limit=http1.HEAD_LIMIT << 8)
                if not await self._exchange(request, reader, writer, up):
                    break
        except (http1.Ended, ConnectionError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            for each in (writer, up[1] if up else None):
                if each is not None:
                    each.transport.abort()

    async def _exchange(self, request, reader, writer, up):
        """Passes one request on and its answer back. False: the connection is to be closed."""
        what = faults.WRITES if request.is_write else faults.READS
        number = self._count(what) if request.is_counted else 0
        hit = self._hits(what, number)
        if request.is_counted:
            mark = " FAULT" if hit else ""
            self._note(f"{what} {number} {request.method} {request.target}{mark}")
            if not request.is_write:
                self._asked(request)
        refused = faults.refusal(self.fault.kind, request.method) if hit else None
        if refused:
            if request.is_write:
                self.last_write = time.monotonic()
            await self._send(writer, *refused)
            return True
        if request.is_watch:
            await self._stream(request, reader, writer, up, slow=hit)
            return False
        return await self._whole(request, writer, up, hit)

    async def _send(self, writer, code, headers, body):
        raw = json.dumps(body).encode()
        writer.write(http1.message(f"HTTP/1.1 {code} Fault",
                                   [*headers, ("Content-Type", "application/json")], raw))
        await writer.drain()

    async def _whole(self, request, writer, up, hit):
        # A list says from when its answer may be; a single read is of the present.
        older = self._older_for(request) if "resourceVersion" in request.query else None
        target = request.list_target(older.version) if older else None
        up[1].write(request.bytes(target))
        head = await http1.read_head(up[0])
        body = await http1.read_body(up[0], head)
        if request.is_write and request.is_counted:
            self._remember(request, head, body)
        kind = self.fault.kind if hit else ""
        if kind in ("kill", "travel"):
            self.kill()
            self._owe(None)
            return False
        if kind == "lost":
            return False
        if kind == "w504":
            await self._send(writer, *faults.TAKEN_504)
            return True
        answer = http1.message(head.start, head.passed_on(), body)
        if kind in ("bytes", "wbytes"):
            await http1.dribble(writer, answer)
        else:
            writer.write(answer)
            await writer.drain()
        return True

    def _remember(self, request, head, body):
        self.total_writes += 1
        self.last_write = time.monotonic()
        self._note(f"  answered {head.start.split(' ', 1)[1]}")
        if not head.start.split(" ")[1].startswith("2"):
            return
        answer = json.loads(body)
        version = answer.get("metadata", {}).get("resourceVersion")
        if version:
            self.versions.append(version)
        if answer.get("metadata", {}).get("name") == "sluice-agents-epoch" and "data" in answer:
            self.records[int(version)] = answer["data"]

    # Watches.

    async def _stream(self, request, reader, writer, up, slow):
        """Passes a watch on until either side ends it."""
        pump = asyncio.ensure_future(self._pump(request, writer, up, slow))
        gone = asyncio.ensure_future(reader.read(1))  # the client sends nothing while it watches
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pump, gone):
                task.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)

    def _older_for(self, request):
        """What to show instead of the present; None: the present."""
        return self._older if self._older and self._older.shows(request.path, time.monotonic()) else None

    async def _pump(self, request, writer, up, slow):
        send = http1.ChunkedAnswer(writer, slow)
        hit = self._hit_on_watch(request)
        if hit == "bookmarks" and (version := self.watched.missed(request)):
            await self._compacted(request, send, version)
            return
        older = self._older_for(request) if request.is_stream else None
        if older:
            await self._send_older(request, send, up, older.version)
            up[1].write(request.bytes(request.watch_target(older.version)))
        elif hit in ("bookmarks", "unmarked"):
            up[1].write(request.bytes(request.timed_target(watches.BRIEF_SECONDS)))
        else:
            up[1].write(request.bytes())
        head = await http1.read_head(up[0])
        if not head.start.split(" ")[1].startswith("2"):
            body = await http1.read_body(up[0], head)
            if not older:
                writer.write(http1.message(head.start, head.passed_on(), body))
                await writer.drain()
            return
        if not older:
            await send.begin(head)
        async for line in http1.lines(up[0], head):
            if not await self._line(request, line, send, hit):
                return
        await send.end()

    def _hit_on_watch(self, request):
        """The kind of the fault, if it is one of watches as a whole and hits this one; "" else."""
        if not request.is_counted:
            return ""
        stream = self._count(faults.STREAMS) if request.is_stream else 0
        watch = self.watched.number(request)
        if self._hits(faults.STREAMS, stream):
            return self.fault.kind
        return "bookmarks" if self._hits(faults.WATCHES, watch) and not self.fault.fired else ""

    async def _compacted(self, request, send, version):
        """The answer to a resume from before a skipped bookmark, once the world has changed meanwhile."""
        self._note(f"  {request.target} is from before {version}: 410 FAULT")
        fault = self.fault
        self.gap.set()
        until = time.monotonic() + HOLD_SECONDS
        while self.gap.is_set() and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
        if fault is not self.fault:
            return  # another case began
        self._owe(request.path)
        fault.fired = True
        await send.begin(http1.Head("HTTP/1.1 200 OK", [("Content-Type", "application/json")]))
        await send.line(faults.gone_event())
        await send.end()

    async def _send_older(self, request, send, up, version):
        """The initial events as a server that lags behind would send them, then its silence."""
        showing = self._showing
        showing.add(request)
        try:
            await self._initial_events(request, send, up, version)
            await asyncio.sleep(STALE_SECONDS)
        finally:
            showing.discard(request)
            self.last_write = time.monotonic()  # what follows from the present is still to come

    async def _initial_events(self, request, send, up, version):
        fault = self.fault
        self._note(f"  shows {request.path} as of {version}")
        listed, present = [await self._list(request.bytes(request.list_target(at)), up) for at in (version, None)]
        await send.begin(http1.Head("HTTP/1.1 200 OK", [("Content-Type", "application/json")]))
        kind, group = listed["kind"].removesuffix("List"), listed["apiVersion"]
        for item in listed["items"]:
            item = {"kind": kind, "apiVersion": group, **item}
            await send.line(json.dumps({"type": "ADDED", "object": item}).encode())
        mark = {"kind": kind, "apiVersion": group, "metadata": {
            "resourceVersion": version, "annotations": {"k8s.io/initial-events-end": "true"}}}
        await send.line(json.dumps({"type": "BOOKMARK", "object": mark}).encode())
        if watches.differ(listed, present):
            self._note(f"  {request.path} is another one now FAULT")
            fault.fired = True

    async def _list(self, request, up):
        up[1].write(request)
        listed = json.loads(await http1.read_body(up[0], await http1.read_head(up[0])))
        if "items" not in listed:
            raise http1.Ended()  # compacted meanwhile
        return listed

    async def _bookmark(self, request, line, send, hit):
        """Passes one bookmark on, or skips it. False: the stream is over."""
        mark = b"initial-events-end" in line
        if mark and hit in ("mark", "unmarked"):
            self._note(f"  mark of {request.path} lost FAULT")
            self.fault.fired = True
            if hit == "mark":
                await send.end()
            return hit != "mark"
        if not mark and hit == "bookmarks" and self.armed:
            self._note(f"  bookmark {self.watched.skip(line)} of {request.path} skipped FAULT")
            return True
        await send.line(line)
        return True

    async def _line(self, request, line, send, hit):
        """Passes one event on. False: the stream is over."""
        kind = self.fault.kind if self.fault else ""
        if line.startswith(b'{"type":"BOOKMARK"'):
            return await self._bookmark(request, line, send, hit)
        if not request.is_counted:
            await send.line(line)
            return True
        number = self._count(faults.EVENTS)
        if number:
            self._note(f"event {number} {request.path} {line[:18].decode()}")
        if not self._hits(faults.EVENTS, number):
            await send.line(line)
            return True
        self._note(f"  FAULT {kind}")
        return await self._break(kind, request, line, send)

    async def _break(self, kind, request, line, send):
        if kind == "double":
            await send.line(line)
            await send.line(line)
            return True
        if kind == "delay":
            self._owe(request.path)
            await asyncio.sleep(DELAY_SECONDS)
            await send.line(line)
            self._asked(request)
            return True
        self._owe(request.path)
        if kind == "cut":
            await send.part(line[:len(line) // 2])
            return False
        if kind == "drop":
            await asyncio.sleep(DROP_SECONDS)
        if kind == "stale":
            version = json.loads(line)["object"]["metadata"]["resourceVersion"]
            before = min(int(self._earlier()), int(version) - 1)  # what the client has seen, or less
            self._older = watches.Older(before, time.monotonic() + RELIST_SECONDS, request.path)
        await send.line(faults.gone_event())
        await send.end()
        return False
