#!/usr/bin/env python3
"""Every CEL rule of every kind has an invalid sample that expects its message, every kind has a valid
one, and every invalid one says what it expects. Reads files only; whether the API server agrees is
tests/integration/api_objects_test.py."""
import json
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTDATA = ROOT / "api/testdata"
# The generator writes a rule's message in double quotes on one line; a property named "message" has
# nothing behind its colon.
MESSAGE = re.compile(r'^\s*(?:- )?message: (".*")$', re.MULTILINE)


def rules():
    """(kind's folder, message) for each rule in the CRDs."""
    for path in sorted((ROOT / "deploy/crds").glob("*.yaml")):
        text = path.read_text()
        kind = re.search(r"^    singular: (\S+)$", text, re.MULTILINE).group(1)
        expressions = len(re.findall(r"^\s*(?:- )?rule: ", text, re.MULTILINE))
        messages = [json.loads(m) for m in MESSAGE.findall(text)]
        assert len(messages) == expressions, f"{path}: {expressions} rules, {len(messages)} messages"
        for message in messages:
            yield kind, message


def expectations(kind):
    return {path.read_text().partition("\n")[0].removeprefix("# ")
            for path in (TESTDATA / kind).glob("invalid-*.yaml")}


class RulesHaveSamples(unittest.TestCase):
    def test_every_rule_has_an_invalid_sample(self):
        found = list(rules())
        self.assertGreater(len(found), 30)
        for kind, message in found:
            with self.subTest(kind=kind, rule=message):
                self.assertIn(message, expectations(kind))

    def test_every_kind_has_a_valid_sample(self):
        for kind in {kind for kind, _ in rules()}:
            self.assertTrue(list((TESTDATA / kind).glob("valid*.yaml")), kind)

    def test_every_invalid_sample_says_what_it_expects(self):
        for path in TESTDATA.glob("*/invalid-*.yaml"):
            first = path.read_text().partition("\n")[0]
            self.assertRegex(first, r"^# \S.{8,}", path)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
