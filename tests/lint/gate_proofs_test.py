"""The table "Each kind and its proof" of docs/governance.md: every kind of gate has a row, and every test it
names is in the file it names. Reads files only."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROOF = re.compile(r"`([\w./]+)`: `([\w.]+)`")


def proofs(cell):
    """(file, test) pairs of one cell."""
    return PROOF.findall(cell)


def exists(path, test, root=ROOT):
    file = root / path
    if not file.is_file():
        return False
    text = re.sub(r"\s+", " ", file.read_text())
    if file.suffix == ".py":
        return f"def {test}(self" in text
    suite, _, name = test.partition(".")
    return re.search(rf"\bTEST(_F|_P)?\({suite}, {name}\)", text) is not None


class GateProofs(unittest.TestCase):
    def test_every_kind_has_a_row_whose_tests_exist(self):
        kinds = re.search(r"kKinds = \{(.*?)\};", (ROOT / "reconcilers/gates/gate.cc").read_text(), re.S)
        kinds = set(re.findall(r'"(\w+)"', kinds.group(1))) - {"unknown"}
        self.assertGreater(len(kinds), 10)
        text = (ROOT / "docs/governance.md").read_text()
        table = re.search(r"^### Each kind and its proof$(.*?)^#", text, re.M | re.S).group(1)
        rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", table, re.M)
        self.assertEqual(sorted(kind for kind, *_ in rows), sorted(kinds))
        for kind, *cells in rows:
            for cell in cells:
                self.assertTrue(proofs(cell), f"{kind}: {cell} names no test")
                for path, test in proofs(cell):
                    self.assertTrue(exists(path, test), f"{kind}: {path} has no {test}")

    def test_a_name_that_is_not_there_is_noticed(self):
        path = "reconcilers/gates/people_test.cc"
        self.assertTrue(exists(path, "CapacityGate.WaitsForAgents"))
        self.assertFalse(exists(path, "CapacityGate.WaitsForAgent"))
        self.assertFalse(exists("reconcilers/gates/no_test.cc", "CapacityGate.WaitsForAgents"))
        self.assertFalse(exists("tests/integration/governance_test.py", "test_a_site_climbs"))


if __name__ == "__main__":
    unittest.main()
