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


# Where the run's own processes are written down as they start, so that a run that was killed can be
# cleared by the next one, or by `demo --down`.
PIDS = "pids"


def track(state, pid):
    with (pathlib.Path(state) / PIDS).open("a") as file:
        file.write(f"{pid} {start_time(pid)}\n")


def start_time(pid):
    """Tells a process from a later one of the same id; None when it is gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return stat[stat.rindex(")") + 2:].split()[19]


def end_tracked(state):
    file = pathlib.Path(state) / PIDS
    if not file.exists():
        return
    for line in file.read_text().splitlines():
        pid, started = line.split()
        if start_time(int(pid)) == started:
            os.kill(int(pid), signal.SIGKILL)
    file.unlink()


class Process:
    """A server of the run's own: started, stopped and restarted by name, logging to a file."""

    def __init__(self, state, argv, log, env=None):
        self._state = state
        self._argv = [str(a) for a in argv]
        self._log = pathlib.Path(log)
        self._env = {**os.environ, **(env or {})}
        self._child = None

    def start(self):
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._argv, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=self._env, start_new_session=True)
        track(self._state, self._child.pid)

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
