"""What the tests of this folder that are no enumeration share: a lane with the created world."""
import atexit
import contextlib
import functools
import os
import pathlib
import random
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sluice_fault import cases, oracle, prometheus, scenarios, world  # noqa: E402

LONG = os.environ.get("SLUICE_FAULT_FORM") == "long"
SEED = int(os.environ.get("SLUICE_FAULT_SEED") or random.SystemRandom().randrange(10**6))
SANITIZED = world.binary().parents[1].name == "asan"
WAIT_SECONDS = 120
# Lines that tell why a life ends; of one that a signal ended there is none.
ENDS = re.compile(r"lease lost|taken over by another|ended by force|stop began|^sluice-controller: |terminate called|"
                  r"check failed", re.I)


def wait_until(condition, what, seconds=WAIT_SECONDS):
    """The first true answer of `condition`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.05)
    return answer


@functools.cache
def shared_lane():
    """One for the whole process, taken down when it ends."""
    print(f"SLUICE_FAULT_SEED={SEED}", flush=True)
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    url = stack.enter_context(prometheus.running())
    lane = stack.enter_context(world.lane(accompanied=False))
    lane.prometheus = url
    return lane, cases.prepare(lane, ["create"], rest=1.0, counting=0)["create"]


class LaneTest(unittest.TestCase):
    """An API server, the proxy (which breaks nothing here), Prometheus and the created world."""

    @classmethod
    def setUpClass(cls):
        cls.lane, cls.create = shared_lane()
        cls.rng = random.Random(SEED)

    def setUp(self):
        self.addCleanup(self.lane.controller.stop)

    def start_from_created(self):
        """The created world, and a controller that leads it and rests."""
        cases.begin(self.lane, scenarios.SCENARIOS["change"], self.create.end_content, None)

    def rest(self, what, rest=1.5, done=lambda objects: True):
        """The objects once they are `done` and nothing is written any more."""
        try:
            return cases.reach(self.lane, done, rest)
        except cases.Failed as failure:
            self.fail(f"{what}: {failure.args[0]}\n{self.log()}")

    def reaches(self, expected, what, view=lambda state: state, seconds=WAIT_SECONDS):
        """Fails unless the world becomes `expected` and rests."""
        try:
            cases.reach(self.lane, lambda objects: view(oracle.state(objects)) == expected, 0.5,
                        seconds)
        except cases.Failed as failure:
            lines = oracle.difference(expected, view(oracle.state(failure.args[1])))
            self.fail("\n".join([what, *(lines or ["it never came to rest"]), self.log()]))

    def log(self):
        """Why lives ended, if any did, and the end of it all."""
        text = self.lane.controller.log.read_text()
        return "\n".join([*(line for line in text.splitlines() if ENDS.search(line)), text[-6000:]])
