"""docs/operations.md against the code and rules it tells about, and the cover of its commands."""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/lint"))
import docs_commands  # noqa: E402

OPERATIONS = (ROOT / "docs/operations.md").read_text()


def names_in(path, pattern):
    return set(re.findall(pattern, (ROOT / path).read_text()))


class Operations(unittest.TestCase):
    def test_every_alert_has_a_chapter_and_every_such_chapter_an_alert(self):
        alerts = names_in("deploy/rules/sluice.rules.yaml", r"- alert: (\w+)")
        alerts |= names_in("reconcilers/gates/slo_rules.cc", r'"(SluiceSlo\w+)"')
        chapters = set(re.findall(r"^### (Sluice\w+)$", OPERATIONS, re.M))
        self.assertEqual(chapters, alerts)
        self.assertGreater(len(alerts), 20)

    def test_every_cause_has_a_cure(self):
        causes = names_in("reconcilers/gates/cause.cc", r'\{Cause::k\w+, "(\w+)"')
        self.assertGreater(len(causes), 20)
        table = OPERATIONS[OPERATIONS.index("### Causes"):OPERATIONS.index("### Conditions")]
        for cause in causes:
            self.assertRegex(table, rf"(?m)^\|.*\b{cause}\b.*\|.*\|.*\|$", cause)

    def test_every_reason_of_a_condition_has_a_cure(self):
        reasons = names_in("reconcilers/site/status.cc", r'types::kFalse,\s+"(\w+)"')
        reasons |= {"ClassMissing", "ClassInvalid", "RollingOut", "AgentsNotReady"}
        reasons |= names_in("reconcilers/tenant/status.cc", r'return "(Secret\w+)"')
        reasons |= names_in("reconcilers/common/binding.cc", r'binding\.reason = "(\w+)"') - {"Bound"}
        self.assertGreater(len(reasons), 15)
        for reason in reasons:
            self.assertRegex(OPERATIONS, rf"(?m)^\|.*\| {reason} \|", reason)

    def test_the_images_have_the_tag_that_the_chart_asks_for(self):
        version = re.search(r'appVersion: "(.*)"', (ROOT / "charts/sluice/Chart.yaml").read_text()).group(1)
        self.assertIn(f"deploy/images/build --tag {version} ", OPERATIONS)
        self.assertIn(f"docker://REGISTRY/$name:{version}\n", OPERATIONS)

    # Words of the reconcilers like reasons that are none: other systems', values of a spec, and what no
    # installed controller says.
    NO_REASONS = {
        "ByExemption", "ClusterFirstWithHostNet", "ControllerRevision", "CrashLoopBackOff",
        "CreateContainerConfigError", "DirectoryOrCreate", "ErrImageNeverPull", "ErrImagePull", "FromSecret",
        "IfNotPresent", "ImagePullBackOff", "InSupport", "InvalidImageName", "OnDelete", "OtherCluster",
        "RatioTimeslices", "RollingUpdate", "RunContainerError", "SingleTenant", "StageMoved",
        "PromotionEnded", "BadQuery", "NotLeading", "VirtualHost"}

    def test_every_word_like_a_reason_is_told_of(self):
        words = set()
        for file in sorted((ROOT / "reconcilers").rglob("*")):
            if (file.suffix in (".cc", ".h") and "openslo" not in file.parts
                    and not re.search(r"_test\.|_for_test|/testing|_fuzz", file.as_posix())):
                words |= set(re.findall(r'"((?:[A-Z][a-z]+){2,})"', file.read_text()))
        self.assertGreater(len(words), 80)
        told = set(re.findall(r"\b[A-Z][A-Za-z]+\b", OPERATIONS))
        self.assertEqual(sorted(words - told - self.NO_REASONS), [])
        self.assertEqual(sorted(self.NO_REASONS - words), [], "no longer in the code")

    def test_every_alert_says_first_whether_it_wakes_somebody(self):
        severities = dict(re.findall(r"- alert: (\w+)\n(?:.*\n)*?.*?severity: (\w+)",
                                     (ROOT / "deploy/rules/sluice.rules.yaml").read_text()))
        self.assertGreater(len(severities), 20)
        for alert, severity in severities.items():
            self.assertIn(f"\n### {alert}\n\n{severity.capitalize()}. ", OPERATIONS)


class Commands(unittest.TestCase):
    def test_every_command_is_covered(self):
        self.assertEqual(list(docs_commands.problems(docs_commands.all_commands())), [])

    def test_only_console_blocks_hold_commands(self):
        text = "make a\n```console\n$ make b\n# no\nmake c \\\n  d\n\n```\n```\nmake e\n```\n"
        self.assertEqual(docs_commands.commands(text), [(3, "make b"), (5, "make c d")])

    def test_a_command_that_nothing_covers_is_named_with_its_place(self):
        found = [*docs_commands.all_commands(), ("README.md", 7, "rm -rf /")]
        self.assertEqual(list(docs_commands.problems(found)),
                         ["README.md:7: no test is named for: rm -rf /"])

    def test_a_cover_that_went_away_is_named(self):
        found = [("README.md", 1, "make demo-down")]
        wrong = list(docs_commands.problems(found, pathlib.Path("/nonexistent")))
        self.assertIn("README.md:1: Makefile does not have", wrong[0])


if __name__ == "__main__":
    unittest.main()
