"""What can go wrong, and where: each kind breaks one thing at the k-th point of what it counts.

Points are counted from the moment the proxy is armed, watches from the controller's start: each thing
watched is one, however often it is asked for. Leases and token reviews are passed through and never
counted: they come by the clock, not by what the controller does.
"""
import dataclasses
import json

WRITES, READS, STREAMS, EVENTS, WATCHES = "writes", "reads", "streams", "events", "watches"

TOO_OLD = "too old resource version (by the fault proxy)"


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    counts: str
    what: str  # for people, and for the table
    late: bool = False  # its point is reached when the proxy has shown or skipped what it says, not before


KINDS = {k.name: k for k in (
    # (a) the process dies
    Kind("kill", WRITES, "SIGKILL when the write is taken, then start again"),
    # (b) the watch and the answers
    Kind("drop", EVENTS, "the event and what follows it is lost, then 410"),
    Kind("double", EVENTS, "the event comes twice"),
    Kind("delay", EVENTS, "the event and what follows it comes a second late"),
    Kind("cut", EVENTS, "half the line, then the connection is gone"),
    Kind("gone", EVENTS, "410 in the stream instead of the event"),
    Kind("mark", STREAMS, "the mark that ends the initial events is lost with the stream", late=True),
    Kind("unmarked", STREAMS, "that mark is skipped, the stream goes on until its time is over", late=True),
    Kind("bookmarks", WATCHES, "the bookmarks before a watch's end are skipped, then 410: its version is compacted",
         late=True),
    Kind("r410", READS, "410 to a list, watch or get"),
    Kind("r429", READS, "429 with Retry-After to a list, watch or get"),
    Kind("r500", READS, "500 to a list, watch or get"),
    Kind("r504", READS, "504 to a list, watch or get"),
    Kind("w429", WRITES, "429 with Retry-After to a write"),
    Kind("w500", WRITES, "500 to a write, not taken"),
    # (c) time travel
    Kind("stale", EVENTS, "410, then the relist shows an older state for a while", late=True),
    Kind("travel", WRITES, "SIGKILL; after the restart every list shows an older state at first", late=True),
    # (d) the answer is lost
    Kind("lost", WRITES, "the write is taken, the connection dies without an answer"),
    Kind("w504", WRITES, "the write is taken, the answer is 504"),
    # (e) conflict
    Kind("w409", WRITES, "409 to a write, not taken"),
    # (f) slow
    Kind("bytes", READS, "the answer, or all of the stream, comes a byte at a time"),
    Kind("wbytes", WRITES, "the answer to a write comes a byte at a time"),
)}


@dataclasses.dataclass
class Fault:
    """One kind at one point. `fired` tells whether the point was reached."""
    kind: str
    k: int
    fired: bool = False

    def hits(self, counter, number):
        if KINDS[self.kind].counts != counter or number != self.k:
            return False
        self.fired = self.fired or not KINDS[self.kind].late
        return True


def sample(points, least, rng):
    """Cases as (scenario, kind, k), drawn by `rng` from `points`, {(scenario, kind): number}: one of each scenario and
    kind that has any, then as evenly as it goes until there are `least`. A plain sample would be mostly events."""
    groups = [[(*group, k) for k in range(1, number + 1)] for group, number in points.items() if number]
    for group in groups:
        rng.shuffle(group)
    wanted = min(max(least, len(groups)), sum(map(len, groups)))
    picked = []
    while len(picked) < wanted:
        rng.shuffle(groups)
        picked += [group.pop() for group in groups if group][:wanted - len(picked)]
    return picked


def status(code, reason, message):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code}


def refusal(kind, method):
    """(code, extra headers, Status) that is answered without asking the server; None for others."""
    number = kind[1:]
    if kind == "w409":
        # What a server says to a POST is another 409 than to the rest.
        reason = "AlreadyExists" if method == "POST" else "Conflict"
        return 409, [], status(409, reason, "by the fault proxy")
    if kind in ("r429", "w429"):
        return 429, [("Retry-After", "1")], status(429, "TooManyRequests", "by the fault proxy")
    if kind in ("r500", "w500"):
        return 500, [], status(500, "InternalError", "by the fault proxy")
    if kind == "r504":
        return int(number), [], status(504, "Timeout", "by the fault proxy")
    if kind == "r410":
        return 410, [], status(410, "Expired", TOO_OLD)
    return None


TAKEN_504 = (504, [], status(504, "Timeout", "by the fault proxy: the write was taken"))


def gone_event():
    return json.dumps({"type": "ERROR", "object": status(410, "Expired", TOO_OLD)}).encode()
