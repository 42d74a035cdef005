"""What the proxy knows of watches: which one is the K-th, what its client has missed, and which older state is
shown for how long. Pure: the time is a parameter."""
import json

# A kube-apiserver sends a bookmark once a minute and 2 s before a watch's time is over. Watches last minutes and
# cases seconds: 3 s is the shortest time with a bookmark in it.
BRIEF_SECONDS = 3
RELIST_SECONDS = 10.0   # within which a stream that was ended is asked for again
STALE_SECONDS = 1.0     # how long an older state is shown before the stream goes on


class Watched:
    """What is watched, in the order in which a life of the controller first asked for it, and the bookmark that
    the one hit by the fault was not given."""

    def __init__(self):
        self._things = []
        self._skipped = 0  # version

    def __len__(self):
        return len(self._things)

    def number(self, request):
        thing = (request.path, request.query.get("labelSelector"), request.query.get("fieldSelector"))
        if thing not in self._things:
            self._things.append(thing)
        return 1 + self._things.index(thing)

    def skip(self, line):
        """This bookmark is kept from the client; its version."""
        self._skipped = int(json.loads(line)["object"]["metadata"]["resourceVersion"])
        return self._skipped

    def missed(self, request):
        """The version the client would resume from had it been given the bookmark; 0: it has that or a later one."""
        version = 0 if request.is_stream else int(request.query.get("resourceVersion", 0))
        return self._skipped if 0 < version < self._skipped else 0


class Older:
    """An older state: for all who ask, from the first one on for a while; or for one path, once."""

    def __init__(self, version, asked_by, path=None):
        self.version = str(version)
        self._path = path
        self._ends = asked_by    # it is over when nobody has asked by then
        self._asked = False

    def shows(self, path, now):
        """Whether whoever asks for `path` now is shown it."""
        if self.over(now) or self._path not in (None, path):
            return False
        if not self._asked:
            self._asked = True
            self._ends = now + STALE_SECONDS if self._path is None else now
        return True

    def over(self, now):
        return now >= self._ends


def differ(one, other):
    """Whether two lists of a thing show other states of it."""
    return ({(thing["metadata"]["uid"], thing["metadata"]["resourceVersion"]) for thing in one["items"]}
            != {(thing["metadata"]["uid"], thing["metadata"]["resourceVersion"]) for thing in other["items"]})
