"""Clients that do random things to a few keys, and judge every answer."""
import asyncio
import random
import re
import time
import urllib.parse

from truth import Wrong
from wire import Broken, Client, Identity

TENANTS = {"falcons": Identity("FALCON", "falconsecret"), "hawks": Identity("HAWK", "hawksecret")}
KEYS_PER_TENANT = 14
# Names are equal in both mounts: what one tenant wrote must never be seen by the other.
NAMES = [f"d{i % 3}/k {i}+ü" for i in range(KEYS_PER_TENANT)]
OPERATIONS = [("get", 34), ("range", 22), ("head", 10), ("put", 11), ("put_elsewhere", 4),
              ("delete", 4), ("delete_elsewhere", 1), ("delete_many", 1), ("copy", 3), ("list", 5),
              ("conditional", 2), ("leave_get", 2), ("leave_put", 1)]
SIZES = [(0, 64), (64, 3000), (3000, 65536), (65535, 65538), (60000, 300_000), (300_000, 1_500_000)]


def origin_key(bucket, name):
    return f"{bucket}/{name}"


ALL_KEYS = [origin_key(bucket, name) for bucket in TENANTS for name in NAMES]


class Worker:
    def __init__(self, number, seed, truth, origin, agent, counts):
        self.random = random.Random(f"{seed}/{number}")
        self.truth = truth
        self.origin = origin
        self.counts = counts
        self.clients = {b: Client(agent, identity) for b, identity in TENANTS.items()}

    async def run(self, operations):
        names, weights = zip(*OPERATIONS)
        for _ in range(operations):
            name = self.random.choices(names, weights)[0]
            bucket = self.random.choice(list(TENANTS))
            key = self.random.choice(NAMES)
            try:
                outcome = await getattr(self, name)(bucket, key)
            except Broken:
                outcome = "broken"
                await asyncio.sleep(0.005)
            self.counts[name, outcome] = self.counts.get((name, outcome), 0) + 1

    def close(self):
        for client in self.clients.values():
            client.close()

    # ---- reads ----

    def _version_of(self, head, key, how):
        number = head.headers.get("x-amz-meta-version")
        version = self.truth.versions.get(int(number)) if number else None
        if version is None:
            raise Wrong(f"{how} of {key} answered {head.status} with version {number}, unknown")
        return version

    async def _read(self, method, bucket, name, how, headers=(), take=None):
        key = origin_key(bucket, name)
        began = time.monotonic()
        head, body, length = await self.clients[bucket].ask(method, bucket, name, headers=headers,
                                                            take=take)
        if head.status == 404:
            self.truth.judge(key, None, began, how)
            return "absent"
        if head.status in (200, 206):
            version = self._version_of(head, key, how)
            self.truth.judge(key, version, began, how)
            first = 0
            if head.status == 206:
                found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", head.headers["content-range"])
                first, last, size = map(int, found.groups())
                if size != version.size or last - first + 1 != int(head.headers["content-length"]):
                    raise Wrong(f"{how} of {key}: {version} as {head.headers['content-range']}")
            elif int(head.headers.get("content-length", length)) != version.size:
                raise Wrong(f"{how} of {key}: {version} of {head.headers['content-length']} bytes")
            if method == "GET":
                self.truth.judge_bytes(key, version, head.headers, first, body, length, how)
                if take is None and len(body) < length:
                    return "cut"
            return head.headers.get("x-sluice-cache", "?")
        if head.status in (304, 412, 416, 429) or head.status >= 500:
            return str(head.status)
        raise Wrong(f"{how} of {key} was answered {head.first_line} {body[:300]}")

    async def get(self, bucket, name):
        return await self._read("GET", bucket, name, "GET")

    async def head(self, bucket, name):
        return await self._read("HEAD", bucket, name, "HEAD")

    async def range(self, bucket, name):
        version = self.truth.current(origin_key(bucket, name))
        size = version.size if version else 1000
        first = self.random.randrange(size + 1)
        last = first + self.random.choice((0, 10, 4096, 70_000, size))
        text = self.random.choice((f"bytes={first}-{last}", f"bytes={first}-",
                                   f"bytes=-{self.random.randrange(1, size + 2)}"))
        return await self._read("GET", bucket, name, text, {"range": text})

    async def conditional(self, bucket, name):
        key = origin_key(bucket, name)
        version = self.truth.current(key)
        if version is None:
            return "absent"
        began = time.monotonic()
        head, _, _ = await self.clients[bucket].ask(
            "GET", bucket, name, headers={"if-none-match": version.etag})
        if head.status == 304:
            self.truth.judge(key, version, began, "304")
        return str(head.status)

    async def leave_get(self, bucket, name):
        return await self._read("GET", bucket, name, "GET",
                                take=self.random.choice((0, 1, 5000, 100_000)))

    # ---- writes ----

    def _draw_version(self):
        low, high = self.random.choice(SIZES)
        return self.truth.new_version(self.random.randrange(low, high))

    async def _change(self, bucket, name, version, method, **more):
        """A write of one key through the agent; what the origin may now expect is told before."""
        key = origin_key(bucket, name)
        began = time.monotonic()
        if version is not None:
            self.origin.expected.setdefault(key, []).append(version)
        head, body, _ = await self.clients[bucket].ask(method, bucket, name, **more)
        if head.status < 300:
            self.truth.acknowledge(key, version, began)
            return "done"
        if head.status >= 500 or head.status == 429:
            return str(head.status)
        raise Wrong(f"{method} of {key} was answered {head.first_line} {body[:300]}")

    async def put(self, bucket, name, **more):
        version = self._draw_version()
        return await self._change(
            bucket, name, version, "PUT", body=version.body(),
            headers={"x-amz-meta-version": str(version.number)},
            payload=self.random.choice(("signed", "unsigned", "trailer")), **more)

    async def leave_put(self, bucket, name):
        version = self._draw_version()
        self.origin.expected.setdefault(origin_key(bucket, name), []).append(version)
        await self.clients[bucket].ask(
            "PUT", bucket, name, body=version.body() + b"never sent",
            headers={"x-amz-meta-version": str(version.number)}, payload="unsigned",
            cut_after=self.random.randrange(version.size + 1))

    async def put_elsewhere(self, bucket, name):
        self.truth.apply(origin_key(bucket, name), self._draw_version(), False)
        return "done"

    async def delete(self, bucket, name):
        return await self._change(bucket, name, None, "DELETE")

    async def delete_elsewhere(self, bucket, name):
        self.truth.apply(origin_key(bucket, name), None, False)
        return "done"

    async def delete_many(self, bucket, _):
        names = self.random.sample(NAMES, 3)
        text = "<Delete>" + "".join(f"<Object><Key>{n}</Key></Object>" for n in names) + "</Delete>"
        began = time.monotonic()
        head, body, _ = await self.clients[bucket].ask("POST", bucket, query=[("delete", "")],
                                                       body=text.encode())
        if head.status != 200:
            return str(head.status)
        done = re.findall(r"<Deleted><Key>([^<]*)</Key>", body.decode())
        for name in done:
            self.truth.acknowledge(origin_key(bucket, name), None, began)
        return "done" if len(done) == len(names) else "in part"

    async def copy(self, bucket, name):
        """The source is read by the origin, so its version is whatever it was there."""
        source = self.random.choice(NAMES)
        began = time.monotonic()
        head, body, _ = await self.clients[bucket].ask(
            "PUT", bucket, name,
            headers={"x-amz-copy-source": urllib.parse.quote(f"/{bucket}/{source}")})
        if head.status == 200:
            etag = re.search(r"<ETag>(.*?)</ETag>", body.decode()).group(1).replace("&quot;", '"')
            key = origin_key(bucket, name)
            copies = [e for e in self.truth.history[key] if e.applied >= began and e.version
                      and e.version.etag == etag]
            if not copies:
                raise Wrong(f"a copy to {key} was acknowledged with {etag}, never held")
            self.truth.acknowledge(key, copies[0].version, began)
            return "done"
        if head.status in (404, 429) or head.status >= 500:
            return str(head.status)
        raise Wrong(f"a copy to {bucket}/{name} was answered {head.first_line} {body[:300]}")

    # ---- lists ----

    async def list(self, bucket, _, exact=False):
        prefix = self.random.choice(("", "d0/", "d1/k"))
        began = time.monotonic()
        head, body, length = await self.clients[bucket].ask(
            "GET", bucket, query=[("list-type", "2"), ("prefix", prefix)])
        if head.status != 200 or len(body) < length:
            if head.status in (200, 429) or head.status >= 500:
                return str(head.status)
            raise Wrong(f"a list of {bucket} was answered {head.first_line} {body[:300]}")
        rows = dict(re.findall(r"<Contents><Key>([^<]*)</Key>.*?<ETag>(.*?)</ETag>", body.decode()))
        strangers = [k for k in rows if k not in NAMES or not k.startswith(prefix)]
        if strangers:
            raise Wrong(f"a list of {bucket} under '{prefix}' has {strangers}")
        for name in (n for n in NAMES if n.startswith(prefix)):
            key = origin_key(bucket, name)
            if exact:
                version = self.truth.current(key)
                if rows.get(name, "").replace("&quot;", '"') != (version.etag if version else ""):
                    return "differs"
            elif name not in rows:
                self.truth.judge(key, None, began, "LIST")
            else:
                etag = rows[name].replace("&quot;", '"')
                held = next((e.version for e in reversed(self.truth.history[key])
                             if e.version and e.version.etag == etag), None)
                if held is None:
                    raise Wrong(f"a list of {bucket} has {name} with {etag}, never held")
                self.truth.judge(key, held, began, "LIST")
        return "done"
