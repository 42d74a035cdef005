"""Waiting with a deadline: the only way anything here waits."""

import time
from pathlib import Path
from typing import Callable, Optional, TypeVar

from . import limits

T = TypeVar("T")


class LocalClusterError(Exception):
    """Something about the machine or the cluster went wrong; the text is for people."""


class Deadline:
    """A moment on the monotonic clock that nested waits share."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())


def until(
    what: str,
    deadline: Deadline,
    probe: Callable[[], Optional[T]],
    why: Callable[[], str] = lambda: "",
) -> T:
    """Calls `probe` until it returns something true and returns that.

    `why` is asked for the last known reason when the deadline passes. Exceptions of `probe` pass
    through: a probe catches what it expects while the thing is not ready yet.
    """
    while True:
        value = probe()
        if value:
            return value
        if deadline.left() <= 0:
            reason = why()
            raise LocalClusterError(
                f"timed out waiting for {what}" + (f": {reason}" if reason else "")
            )
        time.sleep(min(limits.POLL_INTERVAL, deadline.left() + 0.001))


def tail(log: Path, lines: int = limits.LOG_TAIL_LINES) -> str:
    """The last lines of a log, indented, for an error message."""
    try:
        with open(log, "rb") as f:
            f.seek(0, 2)
            f.seek(max(0, f.tell() - 400 * lines))
            text = f.read().decode("utf-8", "replace").splitlines()[-lines:]
    except FileNotFoundError:
        text = ["(no log)"]
    return "\n".join("    " + line for line in text)
