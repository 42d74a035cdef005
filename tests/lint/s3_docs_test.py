"""docs/s3.md's table of operations is the one of datapath/s3/operation.cc. Reads files only."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def operations_of_code(text):
    return re.findall(r'^    \{"(\w+)", Access::', text, re.M)


def operations_of_docs(text):
    table = re.search(r"^## Operations$(.*?)^## ", text, re.M | re.S).group(1)
    return re.findall(r"^\| `(\w+)` \|", table, re.M)


class S3Docs(unittest.TestCase):
    def test_every_operation_has_its_row_in_the_order_of_the_code(self):
        known = operations_of_code((ROOT / "datapath/s3/operation.cc").read_text())
        self.assertGreater(len(known), 15)
        self.assertEqual(operations_of_docs((ROOT / "docs/s3.md").read_text()), known)

    def test_what_it_reads_is_found(self):
        self.assertEqual(operations_of_code('x = {\n    {"GetIt", Access::kRead, 0},\n'), ["GetIt"])
        self.assertEqual(operations_of_docs("## Operations\n| `A` | x |\n| b |\n## Refused\n| `C` |\n"), ["A"])


if __name__ == "__main__":
    unittest.main()
