#!/usr/bin/env python3
"""The controller of docs/examples/controller on a real API server, with the rights of its rbac.yaml and as its
README says: example_test.py PROGRAM."""
import json
import pathlib
import re
import signal
import subprocess
import sys
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path += [str(ROOT / "tests/integration"), str(ROOT / "tests/lint")]
import apiserver  # noqa: E402
from apiserver import wait_until  # noqa: E402
from docs_commands import commands  # noqa: E402

PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
FOLDER = ROOT / "docs/examples/controller"
USER = "template-controller"
TEMPLATES = "/apis/example.com/v1/namespaces/default/templates"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/template-controller"
MERGE = "application/merge-patch+json"


class Example(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(
            apiserver.running("--controller-manager", "--token-user", USER, kinds=False))
        cls.state = cls.server.kubeconfig.parent
        cls.server.apply_files(FOLDER / "rbac.yaml")
        cls.kubectl("create", "clusterrolebinding", USER, "--clusterrole", USER, "--user", USER)
        config = json.loads(cls.kubectl("config", "view", "--raw", "-o", "json"))
        for user in config["users"]:
            user["user"] = {"token": (cls.state / "tokens" / USER).read_text().strip()}
        cls.kubeconfig = cls.state / "template-controller.kubeconfig"
        cls.kubeconfig.touch(mode=0o600)
        cls.kubeconfig.write_text(json.dumps(config))
        # As the page says; what it starts is started by each test.
        typed = [command for _, command in commands((FOLDER / "README.md").read_text())]
        program, = (command for command in typed if not command.startswith("kubectl "))
        assert program.startswith(f"build/release/bin/{PROGRAM.name} "), program
        cls.typed = [command.split()[1:] for command in typed if command != program]
        cls.kubectl(*cls.typed.pop(0))
        cls.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/templates.example.com")

    @classmethod
    def kubectl(cls, *arguments):
        return subprocess.run([apiserver.KUBECTL, "--kubeconfig", cls.server.kubeconfig, *arguments],
                              check=True, capture_output=True, text=True, timeout=60, cwd=ROOT).stdout

    def setUp(self):
        self.start()
        self.addCleanup(self.end)

    def start(self):
        with open(self.state / "example.log", "wb") as log:
            self.process = subprocess.Popen([PROGRAM, "127.0.0.1:0", "127.0.0.1:0"], stderr=log,
                                            env={"KUBECONFIG": str(self.kubeconfig)})
        wait_until(lambda: self.page("health address", "/readyz"), "the example to be ready")

    def end(self):
        if self.process.poll() is None:
            self.assertEqual(self.stop(), 0, self.log())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=20)
        finally:
            self.process.kill()

    def log(self):
        return (self.state / "example.log").read_text()

    def page(self, page, path):
        port = re.search(rf'page="{page}" port=(\d+)', self.log())
        try:
            return port and urllib.request.urlopen(f"http://127.0.0.1:{port[1]}{path}", timeout=10).read().decode()
        except OSError:
            return None

    def rounds(self):
        text = self.page("metrics address", "/metrics") or ""
        return sum(float(n) for n in re.findall(r"^controller_runtime_reconcile_total\S* (\S+)$", text, re.M))

    def get(self, path):
        answer = self.server.call("GET", path)
        return answer.body if answer.ok else None

    def ready(self, name):
        """The condition Ready of a Template, when it speaks of its present generation."""
        template = self.get(f"{TEMPLATES}/{name}")
        condition = next(iter(template.get("status", {}).get("conditions", [])), {})
        return condition if condition.get("observedGeneration") == template["metadata"]["generation"] else {}

    def text(self, name):
        return (self.get(f"{CONFIG_MAPS}/{name}") or {"data": {}})["data"].get("text")

    def make(self, name, **spec):
        answer = self.server.call("POST", TEMPLATES, {"apiVersion": "example.com/v1", "kind": "Template",
                                                      "metadata": {"name": name}, "spec": spec})
        self.assertEqual(answer.code, 201, answer.message)

    def change(self, path, body):
        answer = self.server.call("PATCH", path, body, MERGE)
        self.assertEqual(answer.code, 200, answer.message)

    def writes(self):
        """What the example wrote so far, its Lease aside."""
        events = map(json.loads, (self.state / "logs/audit.log").read_text().splitlines())
        return [(event["verb"], event["objectRef"]["resource"]) for event in events
                if event["user"]["username"] == USER and event["stage"] == "ResponseComplete"
                and event["objectRef"]["resource"] != "leases"]

    def test_a_word_that_is_no_address_is_answered_with_the_usage(self):
        for word in ("--help", "-h", "--metrics-address=127.0.0.1:0"):
            answer = subprocess.run([PROGRAM, word], capture_output=True, text=True, timeout=20)
            self.assertEqual(answer.returncode, 2, answer.stderr)
            self.assertIn("[METRICS_HOST:PORT [HEALTH_HOST:PORT]]", answer.stdout)

    def test_a_template_becomes_a_config_map_that_goes_with_it(self):
        for command in self.typed:  # make the one of the page, and look at it
            shown = self.kubectl(*command)
        wait_until(lambda: self.text("greeting") == "Hello world, from here.\n", "the ConfigMap")
        wait_until(lambda: self.ready("greeting").get("status") == "True", "the condition")
        self.assertIn("READY", shown)
        self.assertRegex(self.kubectl(*self.typed[-1]), r"greeting +True")
        self.change(f"{TEMPLATES}/greeting", {"spec": {"values": {"where": "there"}}})
        wait_until(lambda: self.text("greeting") == "Hello world, from there.\n", "the new value")
        self.server.call("DELETE", f"{TEMPLATES}/greeting")
        wait_until(lambda: self.get(f"{CONFIG_MAPS}/greeting") is None, "the ConfigMap to go with it")

    def test_what_is_edited_or_deleted_comes_back(self):
        self.make("kept", text="as it was")
        wait_until(lambda: self.text("kept") == "as it was", "the ConfigMap")
        first = self.get(f"{CONFIG_MAPS}/kept")["metadata"]["uid"]
        self.change(f"{CONFIG_MAPS}/kept", {"data": {"text": "edited", "theirs": "stays"}})
        wait_until(lambda: self.text("kept") == "as it was", "the edit to be put back")
        self.assertEqual(self.get(f"{CONFIG_MAPS}/kept")["data"].get("theirs"), "stays")
        self.assertTrue(self.server.call("DELETE", f"{CONFIG_MAPS}/kept").ok)
        wait_until(lambda: self.text("kept") == "as it was", "the deleted ConfigMap to come back")
        self.assertNotEqual(self.get(f"{CONFIG_MAPS}/kept")["metadata"]["uid"], first)

    def test_a_bad_template_says_what_is_wrong_until_it_is_mended(self):
        self.make("bad", text="Hello ${who}")
        wait_until(lambda: self.ready("bad"), "the condition")
        ready = self.ready("bad")
        self.assertEqual((ready["status"], ready["reason"], ready["message"]),
                         ("False", "InvalidArgument", "spec.values has no who"))
        self.assertIsNone(self.get(f"{CONFIG_MAPS}/bad"))
        self.change(f"{TEMPLATES}/bad", {"spec": {"text": "Hello ${who"}})
        wait_until(lambda: self.ready("bad").get("message") == "spec.text has ${ without }", "the other fault")
        self.assertEqual(self.ready("bad")["lastTransitionTime"], ready["lastTransitionTime"])
        self.change(f"{TEMPLATES}/bad", {"spec": {"text": "${who}${who}", "values": {"who": "${who}"}}})
        wait_until(lambda: self.ready("bad").get("status") == "True", "the condition")
        self.assertEqual(self.text("bad"), "${who}${who}", "values are not read as templates")

    def test_a_strangers_config_map_is_not_taken_over(self):
        answer = self.server.call("POST", CONFIG_MAPS, {"metadata": {"name": "taken"}, "data": {"text": "theirs"}})
        self.assertEqual(answer.code, 201, answer.message)
        self.make("taken", text="ours")
        wait_until(lambda: self.ready("taken"), "the condition")
        self.assertEqual(self.ready("taken")["status"], "False")
        self.assertIn("conflict", self.ready("taken")["message"])
        self.assertEqual(self.text("taken"), "theirs")
        self.server.call("DELETE", f"{TEMPLATES}/taken")

    def test_it_ends_in_order_and_writes_nothing_after_a_restart(self):
        for number in range(5):
            self.make(f"rest-{number}", text="at rest")
        self.make("rest-bad", text="${no}")
        names = [f"rest-{number}" for number in range(5)] + ["rest-bad"]
        wait_until(lambda: all(map(self.ready, names)), "the conditions")
        self.assertEqual(self.stop(), 0, self.log())
        self.assertIn("stop ended", self.log())
        self.assertFalse(self.get(LEASE)["spec"].get("holderIdentity"), "the Lease was not given back")
        before, versions = self.writes(), [self.get(f"{TEMPLATES}/{name}")["metadata"] for name in names]
        self.start()
        wait_until(lambda: self.rounds() >= len(names), "every Template to be looked at")
        self.assertEqual(self.stop(), 0, self.log())
        self.assertEqual(self.writes(), before)
        self.assertEqual([self.get(f"{TEMPLATES}/{name}")["metadata"] for name in names], versions)

    def test_it_is_short_and_stands_on_public_headers_alone(self):
        lines = (FOLDER / "main.cc").read_text().splitlines()
        self.assertLessEqual(len(lines), 100)
        included = re.findall(r'#include "(.*)"', "\n".join(lines))
        self.assertTrue(included)
        for header in included:
            self.assertTrue(header.startswith("controller/"), header)
            self.assertNotRegex((ROOT / header).read_text()[:400], "Internal to|Include (only )?from")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
