"""What is true of every object, and which answers about it are allowed.

A key's history is the list of versions the origin held, each with the time from which it did. All
times are time.monotonic() of one process: the origin, the clients and the judge share it.

 1. A body is, byte for byte, that of the version which its head names; one that breaks off is a
    prefix of it.
 2. The version was the origin's at some time before the answer ended.
 3. It was not replaced, before the request began, by a write that this agent had acknowledged.
 4. It was not replaced elsewhere longer ago than the freshness bound, unless the origin was out of
    reach since (then what is cached is served, however old) ... which excuses 4 and never 3.
    3 is excused only while records of the disk tier were damaged from outside: a tombstone that is
    gone cannot be remembered by a restarted agent that has nobody to ask.
"""
import functools
import hashlib
import random
import time

KEPT_VERSIONS = 400


@functools.lru_cache(maxsize=192)
def content(seed, size):
    return random.Random(seed).randbytes(size)


class Wrong(Exception):
    """The agent did what it must never do."""


class Version:
    """One write's object. `number` is unique in a run and travels as x-amz-meta-version."""

    def __init__(self, number, size):
        self.number = number
        self.size = size
        self.etag = '"' + hashlib.md5(self.body()).hexdigest() + '"'

    def body(self):
        return content(self.number, self.size)

    def __repr__(self):
        return f"v{self.number}({self.size})"


class Entry:
    """From `applied` on the key held `version` (None: nothing)."""

    def __init__(self, version, applied, through_agent):
        self.version = version
        self.applied = applied
        self.through_agent = through_agent
        self.acknowledged = None


class Truth:
    def __init__(self, keys, freshness_seconds):
        self.freshness = freshness_seconds
        self.versions = {}
        self.history = {key: [Entry(None, 0.0, False)] for key in keys}
        self.origin_unreliable = False  # since the last healing
        self.disk_damaged = False       # since the disk tier was last made anew
        self._numbers = 0

    def new_version(self, size):
        self._numbers += 1
        version = Version(self._numbers, size)
        self.versions[version.number] = version
        return version

    def current(self, key):
        return self.history[key][-1].version

    def apply(self, key, version, through_agent):
        entries = self.history[key]
        entries.append(Entry(version, time.monotonic(), through_agent))
        if len(entries) > KEPT_VERSIONS:
            for old in entries[:KEPT_VERSIONS // 2]:
                if old.version is not None:
                    self.versions.pop(old.version.number, None)
            del entries[:KEPT_VERSIONS // 2]

    def acknowledge(self, key, version, began):
        """The agent told a client that its write of `version`, begun then, is done."""
        for entry in self.history[key]:
            if entry.applied >= began and entry.through_agent and entry.version is version:
                if entry.acknowledged is None:
                    entry.acknowledged = time.monotonic()
                    return
        if not any(e.applied >= began and e.version is version for e in self.history[key]):
            raise Wrong(f"{key}: {version} was acknowledged, and the origin has not had it")

    def judge(self, key, version, began, how):
        """`version` (None: absent) was the answer to a request that began then."""
        entries = self.history[key]
        reasons = []
        for i, entry in enumerate(entries):
            if entry.version is not version:
                continue
            reason = self._too_old(entries[i + 1:], began)
            if reason is None:
                return
            reasons.append(reason)
        told = "; ".join(reasons[-2:]) or "the origin never held it"
        raise Wrong(f"{how} of {key} at {began:.3f} answered {version}: {told}\n" + self.tell(key))

    def _too_old(self, later, began):
        for entry in later:
            if entry.acknowledged is not None and entry.acknowledged < began:
                if self.origin_unreliable and self.disk_damaged:
                    continue
                return (f"{began - entry.acknowledged:.3f} s after the agent acknowledged "
                        f"{entry.version}")
        if later and not self.origin_unreliable and later[0].applied + self.freshness < began:
            return (f"replaced elsewhere by {later[0].version} "
                    f"{began - later[0].applied:.3f} s before")
        return None

    def tell(self, key):
        return "\n".join(
            f"  {e.applied:.3f} {e.version} {'by the agent' if e.through_agent else 'elsewhere'}"
            + (f", acknowledged {e.acknowledged:.3f}" if e.acknowledged else "")
            for e in self.history[key][-12:])

    def judge_bytes(self, key, version, headers, first, body, whole_length, how):
        """`body` was sent as bytes [first, first + whole_length) of `version`; perhaps cut short."""
        if headers.get("etag", version.etag) != version.etag:
            raise Wrong(f"{how} of {key}: the head mixes {version} with ETag {headers['etag']}")
        right = version.body()[first:first + whole_length]
        if len(right) != whole_length:
            raise Wrong(f"{how} of {key}: {version} has no {whole_length} bytes at {first}")
        if body == right or (len(body) < whole_length and right.startswith(body)):
            return
        at = next((i for i, (a, b) in enumerate(zip(body, right)) if a != b), len(right))
        owner = next((f"{other} has them" for other in self.versions.values()
                      if bytes(body[at:at + 16]) and bytes(body[at:at + 16]) in other.body()),
                     "no version has them")
        raise Wrong(f"{how} of {key}: {version} from {first}, {len(body)} of {whole_length} bytes, "
                    f"is wrong from byte {at} on ({owner})")
