"""Every link in a page of ours goes somewhere, and the decisions (docs/adr) have one form and an index."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ADR = ROOT / "docs/adr"
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)


def pages(root=ROOT):
    tops = ("api", "charts", "controller", "datapath", "deploy", "docs", "reconcilers", "tests")
    return [root / "README.md", *(p for top in tops for p in sorted((root / top).rglob("*.md")))]


def anchors(text):
    """Anchors of a page's headings, as they are linked to."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    return {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
            for line in text.splitlines() if line.startswith("#")}


def dead_links(page, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue  # the outside world
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            yield target


class Links(unittest.TestCase):
    def test_every_link_goes_somewhere(self):
        self.assertGreater(len(pages()), 100)
        for page in pages():
            self.assertEqual(list(dead_links(page, page.read_text())), [], page.relative_to(ROOT))

    def test_a_dead_link_is_seen(self):
        page = ROOT / "docs/operations.md"
        text = "[a](metrics.md) [b](metrics.md#cache) [c](metrics.md#no) [d](no.md) `[e](no.md)` [f](https://x/)"
        self.assertEqual(list(dead_links(page, text)), ["metrics.md#no", "no.md"])


class Tests(unittest.TestCase):
    def test_every_test_that_a_page_names_is_there(self):
        known, cases = set(), re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)|def (test_\w+)\(")
        for top in ("api", "controller", "datapath", "deploy", "reconcilers", "tests"):
            for file in (f for f in (ROOT / top).rglob("*") if f.suffix in (".cc", ".h", ".py")):
                known |= {one or f"{suite}.{name}" for suite, name, one in cases.findall(file.read_text())}
        self.assertGreater(len(known), 1500)
        named = 0
        for page in pages():
            for name in re.findall(r"`([A-Z]\w+\.[A-Z]\w+|test_\w+)`", page.read_text()):
                named += 1
                self.assertIn(name, known, page.relative_to(ROOT))
        self.assertGreater(named, 30)


class Map(unittest.TestCase):
    def test_the_map_of_the_tree_has_every_folder(self):
        text = (ROOT / "docs/architecture.md").read_text()
        rooms = text[text.index("## Rooms"):text.index("## Who may include whom")]
        named, top = set(), ""
        for row in re.findall(r"^\| (`.*?) \|", rooms.replace("| `tests/`", ""), re.M):
            for folder in re.findall(r"`([\w/]+)/`", row):  # in a row, later ones leave the top out
                top = folder.split("/")[0] if "/" in folder else top
                named.add(folder if "/" in folder else f"{top}/{folder}")
        for top in ("api", "controller", "datapath", "deploy", "reconcilers", "charts"):
            for folder in (f for f in (ROOT / top).iterdir() if f.is_dir() and any(f.iterdir())):
                name = f"{top}/{folder.name}"
                if name != "api/testdata":
                    self.assertTrue(any(n == name or n.startswith(name + "/") for n in named), name)
        for name in named:
            self.assertTrue((ROOT / name).is_dir(), name)


class Decisions(unittest.TestCase):
    def test_each_has_its_number_its_date_and_its_status(self):
        for page in sorted(ADR.glob("0*.md")):
            lines = page.read_text().splitlines()
            self.assertRegex(lines[0], rf"^# {page.name[:4]} [A-Z`]", page.name)
            self.assertRegex(lines[2], r"^\d{4}-\d\d-\d\d, accepted[.:;]", page.name)
            self.assertLess(len(lines), 80, page.name)

    def test_the_index_has_each_once_by_its_title(self):
        index = re.findall(r"^- \[(\d{4})\]\(([\w.-]+)\) (.*?)(?: \(superseded by \d{4}\))?$",
                           (ADR / "README.md").read_text(), re.M)
        files = {page.name: page.read_text().splitlines()[0] for page in ADR.glob("0*.md")}
        self.assertEqual(sorted(name for _, name, _ in index), sorted(files))
        for number, name, title in index:
            self.assertEqual(files[name], f"# {number} {title}")


if __name__ == "__main__":
    unittest.main()
