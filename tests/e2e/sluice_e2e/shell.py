"""Running programs: always with a deadline, with their words in the error."""

import os
import pathlib
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]


def run(*argv, timeout=60, stdin=None, env=None, check=True, cwd=ROOT):
    """Standard output of the program; RuntimeError with its standard error when it fails."""
    argv = [str(a) for a in argv]
    done = subprocess.run(
        argv, input=stdin, text=True, capture_output=True, timeout=timeout, cwd=cwd,
        env={**os.environ, **(env or {})}, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[:6])}: exit {done.returncode}: "
                           f"{(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


class Process:
    """A server of the run's own: started, stopped and restarted by name, logging to a file."""

    def __init__(self, argv, log, env=None):
        self._argv = [str(a) for a in argv]
        self._log = pathlib.Path(log)
        self._env = {**os.environ, **(env or {})}
        self._child = None

    def start(self):
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._argv, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=self._env, start_new_session=True)

    @property
    def pid(self):
        return self._child.pid if self._child else None

    def alive(self):
        return self._child is not None and self._child.poll() is None

    def stop(self, how=signal.SIGTERM, deadline_s=10):
        if not self.alive():
            return
        self._child.send_signal(how)
        try:
            self._child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(deadline_s)

    def tail(self, lines=20):
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])
