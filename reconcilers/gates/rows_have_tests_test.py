#!/usr/bin/env python3
"""Every row of the table "What a gate answers" in docs/governance.md has its case in rows_test.cc, under
its name and with its verdict and cause; and the other way round. Every cause stands in both tables of
causes. Reads files only."""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GATES = ROOT / "reconcilers/gates"
ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<verdict>Pass|Hold|Fail)\((?P<cause>\w+)\)[^|]* "
                 r"\| `(?P<name>\w+)` \|$", re.MULTILINE)
CASE = re.compile(r'\{"(?P<name>\w+)", Verdict::k(?P<verdict>\w+), Cause::k(?P<cause>\w+),')


def section(path, heading):
    text = path.read_text()
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{path} has no section {heading}"
    return found.group(1)


class RowsHaveTests(unittest.TestCase):
    def test_the_table_and_the_cases_are_the_same(self):
        table = section(ROOT / "docs/governance.md", "What a gate answers")
        lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
        rows = [(m["name"], m["verdict"], m["cause"]) for m in ROW.finditer(table)]
        self.assertEqual(len(rows), len(lines), "a row is not: what | Verdict(Cause) | `Name`")
        self.assertGreater(len(rows), 20)
        cases = [(m["name"], m["verdict"], m["cause"])
                 for m in CASE.finditer((GATES / "rows_test.cc").read_text())]
        self.assertEqual(rows, cases)

    def test_every_cause_is_explained_to_whoever_is_on_call(self):
        enum = re.search(r"enum class Cause[^{]*\{(.*?)\};", (GATES / "cause.h").read_text(), re.DOTALL)
        causes = re.findall(r"^  k(\w+),", enum.group(1), re.MULTILINE)
        self.assertGreater(len(causes), 20)
        first_cells = re.findall(r"^\| ([\w, ]+) \|",
                                 section(ROOT / "docs/operations.md", "Causes"), re.MULTILINE)
        told = [name for cell in first_cells for name in cell.split(", ")][1:]
        self.assertEqual(sorted(told), sorted(causes))
        # In the order of precedence, so that the page tells what is shown first.
        held = [name for name in told if name not in ("Met", "Exempted")]
        self.assertEqual(held, [name for name in causes if name not in ("Met", "Exempted")])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
