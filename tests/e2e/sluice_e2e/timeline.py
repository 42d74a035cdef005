"""Progress for people and a record for the summary: named steps, waits with deadlines, faults."""

import contextlib
import datetime
import sys
import time


class StepFailed(Exception):
    """A step did not hold; the message says what was seen instead."""


def now_rfc3339():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Timeline:
    def __init__(self, out=sys.stdout):
        self._out = out
        self._start = time.monotonic()
        self._live = out.isatty()
        self.steps = []

    def elapsed(self):
        return time.monotonic() - self._start

    def say(self, text):
        minutes, seconds = divmod(int(self.elapsed()), 60)
        print(f"[{minutes:3d}:{seconds:02d}] {text}", file=self._out, flush=True)

    @contextlib.contextmanager
    def step(self, name):
        self.say(f"{name} …")
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            self.say(f"{name}: FAILED after {time.monotonic() - begin:.1f} s")
            raise
        took = time.monotonic() - begin
        self.steps.append({"name": name, "seconds": round(took, 1)})
        self.say(f"{name}: done in {took:.1f} s")

    def wait(self, what, probe, deadline_s, every_s=0.5):
        """Calls probe() until it returns something true; StepFailed with its last words otherwise.

        probe() may raise: the exception's text counts as what was last seen."""
        end = time.monotonic() + deadline_s
        told = time.monotonic()
        last = "nothing yet"
        while True:
            try:
                value = probe()
                if value:
                    return value
                last = repr(value)
            except StepFailed:
                raise
            except Exception as error:  # the world is not ready; its words are kept
                last = str(error) or type(error).__name__
            if time.monotonic() >= end:
                raise StepFailed(f"waited {deadline_s} s for {what}; last seen: {last[-2000:]}")
            if time.monotonic() - told >= 10:
                told = time.monotonic()
                self.say(f"  waiting for {what} ({last[-160:].strip()})")
            time.sleep(every_s)
