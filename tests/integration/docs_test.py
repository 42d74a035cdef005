#!/usr/bin/env python3
"""Types what docs/operations.md and the README tell people to type, as it stands there, at a real API
server. Which commands, and how the others are covered: tests/lint/docs_commands.py."""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import apiserver
from apiserver import ROOT

SPEC = importlib.util.spec_from_file_location("docs_commands", ROOT / "tests/lint/docs_commands.py")
docs_commands = importlib.util.module_from_spec(SPEC)
sys.modules["docs_commands"] = docs_commands
SPEC.loader.exec_module(docs_commands)

KEYS = "AWS_ACCESS_KEY_ID=DOCSACCESSKEY0000001\nAWS_SECRET_ACCESS_KEY=docs-secret-of-a-test-run\n"
# What stands for a name in the docs, and the objects it is taken to mean.
NAMES = {"sluice-site-NAME": "sluice-site-phoenix", "site NAME": "site phoenix", "node NODE": "node n0"}
# What has to be there before: a person's own namespace, node and key files.
BEFORE = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "falcon"}},
          {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sluice-site-phoenix"}},
          {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n0"}}]
# Made by the controller, which does not run here.
BEFORE_USE = [{"apiVersion": "v1", "kind": "Secret",
               "metadata": {"name": "sluice-ca", "namespace": "sluice-system"}}]


class Docs(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(apiserver.running("--controller-manager", kinds=False))
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="sluice-docs-")))
        self.keys = {name: folder / name for name in ("lake-agent.env", "falcon-keys.env")}
        self.bin = folder / "bin"  # DIRECTORY, in PATH
        self.bin.mkdir()
        for path in self.keys.values():
            path.write_text(KEYS)
            path.chmod(0o600)

    def type(self, command, extra=()):
        for name, meant in NAMES.items():
            command = command.replace(name, meant)
        for name, path in self.keys.items():
            command = command.replace(name, str(path))
        command = command.replace("DIRECTORY", str(self.bin))
        programs = f"{self.bin}:{ROOT}/build/local/bin:{ROOT}/build/release/bin"
        environment = {**os.environ, "KUBECONFIG": str(self.server.kubeconfig),
                       "PATH": f"{programs}:{os.environ['PATH']}"}
        return subprocess.run(" ".join([command, *extra]), shell=True, cwd=ROOT, env=environment,
                              capture_output=True, text=True, timeout=120)

    def make(self, objects):
        for body in objects:
            result = subprocess.run([apiserver.KUBECTL, "--kubeconfig", self.server.kubeconfig, "apply",
                                     "-f", "-"], input=json.dumps(body), text=True,
                                    capture_output=True, timeout=60)
            self.assertEqual(result.returncode, 0, result.stderr)

    def age_a_kind(self):
        """What an upgrade finds: a kind as Helm wrote it for a release before, which differs."""
        kind = ["customresourcedefinition", "sites.sluice.dev"]
        kubectl = [apiserver.KUBECTL, "--kubeconfig", self.server.kubeconfig]
        body = json.loads(subprocess.run([*kubectl, "get", *kind, "-o", "json"], check=True, text=True,
                                         capture_output=True, timeout=60).stdout)
        body["spec"]["versions"][0]["additionalPrinterColumns"][0]["description"] = "of a release before"
        subprocess.run([*kubectl, "replace", "--field-manager=helm", "-f", "-"], input=json.dumps(body),
                       check=True, text=True, capture_output=True, timeout=60)

    def test_commands_work_as_they_are_written(self):
        found = docs_commands.all_commands()
        typed = [(docs_commands.cover_of(command), page, line, command) for page, line, command in found]
        typed = [entry for entry in typed if entry[0] is not None and entry[0].how == "run"]
        self.assertGreater(len(typed), 15)
        self.make(BEFORE)
        for phase in range(docs_commands.REMOVE + 1):
            if phase == docs_commands.USE:
                self.server.wait_for_kinds()
                self.make(BEFORE_USE)
                self.age_a_kind()
            for cover, page, line, command in typed:
                if cover.phase != phase:
                    continue
                with self.subTest(f"{page}:{line}"):
                    started = time.monotonic()
                    result = self.type(command, cover.extra)
                    print(f"{time.monotonic() - started:6.1f} s  {command}", file=sys.stderr)
                    self.assertEqual(result.returncode, 0, f"{command}\n{result.stdout}{result.stderr}")
            if phase == docs_commands.USE:
                self.completes()

    def completes(self):
        """kubectl itself asks the program that the page has people install."""
        for line, offer in (("why s", "site/"), ("why site/", "site/phoenix"), ("vote decision/x --role D", "Decide")):
            with self.subTest(line):
                self.assertEqual(self.type(f"kubectl __complete sluice {line}").stdout.splitlines()[0], offer)


if __name__ == "__main__":
    sys.exit(unittest.main())
