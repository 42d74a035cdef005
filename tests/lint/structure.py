"""Holds the tree to its dependency rule (docs/architecture.md) and its small habits.

  structure.py ROOT     prints each violation as file:line: rule; exit 1 if there is any
"""

import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')

# (who, may not include, except from): the first matching prefix of the including file decides.
FORBIDDEN = [
    ("controller/cmd/", (), "mains wire everything"),
    ("controller/", ("api/", "reconcilers/", "datapath/"), "the runtime knows none of our kinds"),
    ("datapath/", ("reconcilers/", "api/v1alpha1", "api/types", "api/markers"),
     "the agent knows nothing of Kubernetes"),
    ("api/", ("reconcilers/", "datapath/", "controller/runtime", "controller/client",
              "controller/cache"), "the API is data"),
]
DATAPATH_MAY_USE = "controller/base/"

# Heavy or dangerous headers and the only folders that may hold them.
CONFINED = {
    "liburing.h": ("datapath/ring/",),
    "nghttp2/": ("controller/rpc/", "tests/bench/"),
    "grpcpp/": ("reconcilers/gates/grpc_check/", "datapath/control/", "tests/"),
    "simdjson.h": ("tests/bench/",),
}
NOT_IN_HEADERS = ("grpcpp/", "nlohmann/json.hpp", "simdjson.h", "spdlog/", ".pb.h",
                  "openssl/")
KINDS = ("siteclass", "site", "tenant", "slo", "promotion", "stageplan", "governance",
         "incident", "release", "rollout")
TEST = re.compile(r"(_test|_fuzz|_bench)\.cc$|_for_test\.h$|/testing/|/testdata/|/integration/|^tests/")
# A header that says so in its first lines is not part of a folder's contract and may be heavy.
INTERNAL = re.compile(r"^// .*(Internal to|Include (only )?from \.cc files)", re.M)
# Reconcilers write statuses by reconcilers/common/status_write.h alone.
STATUS_WRITE = re.compile(r"\bapi_?(\.|->)(ApplyStatus|UpdateStatus)\(|client::ApplyStatusText\(")
# A file of ours that a page names, in backquotes; and names that are a pattern, a third party's or made.
NAMED_FILE = re.compile(r"`([\w./-]+\.(?:h|cc|proto|py|tpl|tsv))`")
NOT_OURS = re.compile(r"(^|/)(x_\w+\.cc|liburing\.h|map_field\.h|PROTOCOL-HTTP2\.md)$")
# A page that a comment or another page names.
NAMED_PAGE = re.compile(r"(?<![\w./:-])(?:\.{1,2}/)*([\w./-]*\w\.md)\b")
TOPS = ("api", "charts", "controller", "datapath", "deploy", "docs", "reconcilers", "tests")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")


def kind_of(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "reconcilers" and parts[1] in KINDS else None


def include_violation(path, included, internal=False):
    """The rule broken by `path` including `included`, or None. `internal`: see INTERNAL."""
    for prefix, banned, why in FORBIDDEN:
        if path.startswith(prefix):
            if included.startswith(banned or ("\0",)):
                return f"includes {included}: {why}"
            break
    if (path.startswith("datapath/") and included.startswith("controller/")
            and not included.startswith(DATAPATH_MAY_USE)):
        return f"includes {included}: datapath uses {DATAPATH_MAY_USE} only"
    mine, theirs = kind_of(path), kind_of(included)
    if mine and theirs and mine != theirs:
        return f"includes {included}: one kind's reconciler never includes another's"
    for header, homes in CONFINED.items():
        if included.startswith(header) and not path.startswith(homes):
            return f"includes {included}: only {', '.join(homes)} may"
    if path.endswith(".h") and not internal and not TEST.search(path):
        for heavy in NOT_IN_HEADERS:
            if included.startswith(heavy) or included.endswith(heavy):
                return f"includes {included}: no heavy third-party header in our headers"
    return None


def check_text(path, text):
    """Violations of one file as (line, rule)."""
    found = []
    internal = INTERNAL.search("\n".join(text.splitlines()[:8])) is not None
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            rule = include_violation(path, match.group(1), internal)
            if rule:
                found.append((number, rule))
        if (path.startswith("reconcilers/") and not path.startswith("reconcilers/common/")
                and not TEST.search(path) and STATUS_WRITE.search(line)):
            found.append((number, "writes a status past reconcilers/common/status_write.h"))
        if UNFINISHED.search(line):
            found.append((number, "word of unfinished work"))
    if path.endswith(".h") and "#pragma once" not in text:
        found.append((1, "no #pragma once"))
    return found


def endings(files):
    """Every way to name one of `files`: whole, or without the folder or its beginning."""
    return {"/".join(f.split("/")[i:]) for f in files for i in range(f.count("/") + 1)}


def missing_files(pattern, text, known):
    """(line, file) of each file that `text` names, as `pattern` finds them, and that is not `known`."""
    for number, line in enumerate(text.splitlines(), 1):
        for name in pattern.findall(line):
            if name not in known and not NOT_OURS.search(name):
                yield number, name


def main(root):
    root = pathlib.Path(root)
    failed = False
    folders = set()
    for top in ("api", "controller", "reconcilers", "datapath", "tests"):
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in (".h", ".cc"):
                continue
            path = file.relative_to(root).as_posix()
            folders.add(file.parent)
            for line, rule in check_text(path, file.read_text(errors="replace")):
                print(f"{path}:{line}: {rule}")
                failed = True
    tops = [root / top for top in TOPS]
    files = sorted(f for top in tops for f in top.rglob("*") if f.is_file())
    known = endings(["README.md", *(f.relative_to(root).as_posix() for f in files)])
    for file in [root / "README.md", *(f for f in files if f.suffix in (".md", ".h", ".cc", ".py", ".proto"))]:
        if file.match("tests/lint/*_test.py"):
            continue  # they make names up
        named = (NAMED_FILE, NAMED_PAGE) if file.suffix == ".md" else (NAMED_PAGE,)
        text = file.read_text(errors="replace")
        for line, name in (each for pattern in named for each in missing_files(pattern, text, known)):
            print(f"{file.relative_to(root)}:{line}: there is no file {name}")
            failed = True
    for folder in sorted(folders):
        readme = folder / "README.md"
        if TEST.search(folder.relative_to(root).as_posix() + "/"):
            continue  # test code belongs to the folder it tests
        if not readme.exists():
            print(f"{folder.relative_to(root)}: no README.md")
            failed = True
        elif len(readme.read_text().splitlines()) > 40:
            print(f"{readme.relative_to(root)}: longer than 40 lines")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
