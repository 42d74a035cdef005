#!/usr/bin/env python3
"""What Tab puts into the line of a real bash, zsh and fish, each on a terminal of its own, set up as
`kubectl sluice completion --help` says."""
import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import sys
import tempfile
import termios
import time
import unittest

BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", pathlib.Path(__file__).parents[2] / "build/release"))
# Bash parts words at colons, and such names are what cloud providers' tools write.
PROD, LAB = "arn:aws:eks:us-east-1:123456789012:cluster/prod", "arn:aws:eks:us-east-1:123456789012:cluster/lab"
SHELLS = {
    "bash": ("bash --norc --noprofile -i", "source <(kubectl-sluice completion bash)"),
    "zsh": ("zsh -f -i", "autoload -U compinit; compinit -u -D; source <(kubectl-sluice completion zsh)"),
    "fish": ("fish --no-config -i", "kubectl-sluice completion fish | source"),
}
CASES = [  # typed before Tab, shown after it
    ("kubectl-sluice can-a", "kubectl-sluice can-advance "),
    ("kubectl-sluice why si", "kubectl-sluice why site/"),
    ("kubectl-sluice status --output=j", "kubectl-sluice status --output=json "),
    ("kubectl-sluice status --context pl", "kubectl-sluice status --context plain "),
    ("kubectl-sluice status --context ar", "kubectl-sluice status --context arn:aws:eks:us-east-1:123456789012:cluster/"),
    ("kubectl-sluice  status --context=" + PROD[:-2], "kubectl-sluice  status --context=" + PROD + " "),
    ("kubectl-sluice status --context " + LAB[:8], "kubectl-sluice status --context " + LAB[:-3]),
]
ESCAPES = re.compile(r"\x1b(\[[0-9;?<>=]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78])|[\x07\x0f]")


class Terminal:
    """A shell as a person has it."""

    def __init__(self, shell, folder, patience=60):
        self.deadline = time.monotonic() + patience
        self.seen = ""
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))  # no line is wrapped
            os.chdir(folder)
            os.environ.update(PATH=f"{BUILD / 'bin'}:{os.environ['PATH']}", HOME=str(folder), TERM="dumb", PS1="$ ",
                              KUBECONFIG=str(folder / "kubeconfig"), INPUTRC="/dev/null", LC_ALL="C.UTF-8")
            os.execvp(shell.split()[0], shell.split())

    def send(self, text):
        os.write(self.end, text.encode())

    def until(self, wanted):
        """Reads on until the screen has shown `wanted`; what it showed is forgotten then."""
        while wanted not in self.seen:
            ready, _, _ = select.select([self.end], [], [], max(0, self.deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"not shown: {wanted!r}; shown: {self.seen[-2000:]!r}")
            self.seen = ESCAPES.sub("", self.seen + os.read(self.end, 4096).decode(errors="replace"))
        self.seen = ""

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.end)


class Completion(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-completion."))
        self.addCleanup(shutil.rmtree, self.folder)
        names = [PROD, LAB, "plain", "$(touch ran)x"]
        contexts = "".join(f"- {{name: '{name}', context: {{cluster: c, user: u}}}}\n" for name in names)
        (self.folder / "kubeconfig").write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: plain\n"
            "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n"
            "users: [{name: u, user: {token: t}}]\ncontexts:\n" + contexts)

    def terminal(self, name):
        shell, setup = SHELLS[name]
        terminal = Terminal(shell, self.folder)
        self.addCleanup(terminal.close)
        terminal.send(setup + "; echo set'-'up\n")
        terminal.until("set-up")
        return terminal

    def check(self, name):
        terminal = self.terminal(name)
        for typed, shown in CASES:
            terminal.send(typed + "\t")
            terminal.until(shown)
            terminal.send("\x15")  # the line is cleared, not run
        # A context's name runs nothing, neither when it is offered nor when it was taken.
        terminal.send("kubectl-sluice status --context $\t")
        terminal.send("\x15echo do'ne'\n")
        terminal.until("done")
        self.assertFalse((self.folder / "ran").exists())

    def test_bash(self):
        self.check("bash")

    def test_zsh(self):
        self.check("zsh")

    def test_fish(self):
        self.check("fish")


if __name__ == "__main__":
    if not (BUILD / "bin/kubectl-sluice").exists():
        sys.exit(f"{BUILD}/bin/kubectl-sluice is not built")
    unittest.main()
