#!/usr/bin/env python3
"""Every command that the README and the docs tell people to type, and what shows that it works.

  tests/lint/docs_commands.py          check that each is covered; exit code 1 names those that are not
  tests/lint/docs_commands.py --list   print each with how it is covered

A command is a line of a ```console block; what it prints does not stand in such a block. Each has to
match one line of COVERED below, and each line there has to match a command:

  run     tests/integration/docs_test.py runs it as it is written, in the order of its phase
  test    a test runs the same; the file has to exist and to contain the text given
  not     no test runs it, for the reason given
"""
import dataclasses
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALL, USE, STUCK, REMOVE = range(4)


@dataclasses.dataclass(frozen=True)
class Cover:
    pattern: str  # of the whole command
    how: str
    phase: int = USE
    where: str = ""  # test: file; not: reason
    text: str = ""  # test: what the file contains
    extra: tuple = ()  # run: arguments added, such as another user


def run(pattern, phase=USE, *extra):
    return Cover(pattern, "run", phase, extra=extra)


def test(pattern, where, text):
    return Cover(pattern, "test", where=where, text=text)


def never(pattern, reason):
    return Cover(pattern, "not", where=reason)


PODS = "needs running pods of a broken system; the command is kubectl's own"

COVERED = [
    run(r"helm install sluice charts/sluice .*", INSTALL),
    run(r"kubectl apply --server-side -f deploy/crds", INSTALL),
    run(r"kubectl apply --server-side --force-conflicts -f deploy/crds"),
    run(r"install build/release/bin/kubectl-sluice DIRECTORY/", INSTALL),
    run(r"kubectl sluice completion kubectl >DIRECTORY/kubectl_complete-sluice", INSTALL),
    run(r"chmod \+x DIRECTORY/kubectl_complete-sluice", INSTALL),
    run(r"kubectl sluice version"),
    test(r"kubectl -n sluice-system rollout status .*", "tests/e2e/sluice_e2e/world.py", '"--wait"'),
    run(r"kubectl label node .*"),
    run(r"kubectl -n \S+ create secret generic \S+ --from-env-file=\S+"),
    run(r"kubectl -n falcon label secret .*"),
    run(r"kubectl -n falcon create rolebinding .*"),
    # The examples are asked for by ana@example.com, and the policy compares.
    run(r"kubectl apply -f docs/examples/site-class\.yaml .*", USE, "--as=ana@example.com", "--as-group=system:masters"),
    *(test(command, "tests/integration/controller/example_test.py", 'commands((FOLDER / "README.md")')
      for command in (r"kubectl apply -f docs/examples/controller/\S+", r"kubectl get template greeting",
                      r"build/release/bin/template-controller .*")),
    test(r"kubectl --context SITE apply -f deploy/manifests/site-cluster/rbac.yaml",
         "tests/integration/controller/other_clusters.cc", "deploy/manifests/site-cluster/rbac.yaml"),
    never(r"kubectl --context SITE -n sluice-remote create token .*",
          "needs a second cluster; the command is kubectl's own"),
    test(r"kubectl -n sluice-system create secret generic \S+ --from-file=kubeconfig=\S+",
         "tests/integration/controller/clusters_test.cc", 'PutSecret("tucson", KubeconfigOf("first"))'),
    test(r"kubectl -n sluice-system label secret \S+ sluice.dev/cluster=true",
         "tests/integration/controller/other_clusters.cc", '{"sluice.dev/cluster", "true"}'),
    run(r"kubectl get sites,tenants,promotions,slo"),
    run(r"kubectl -n falcon create secret generic .* --dry-run=client .*"),
    run(r"helm upgrade sluice .*"),
    run(r"helm rollback sluice .*"),
    run(r"kubectl -n sluice-system get pods,lease"),
    run(r"sluice-controller --namespace sluice-system --start-lineage .*"),
    run(r"kubectl -n sluice-system delete secret sluice-ca"),
    run(r"kubectl -n sluice-system rollout restart deployment/sluice-controller"),
    run(r"kubectl -n sluice-site-NAME get pods -o wide"),
    run(r"kubectl patch site NAME .*", STUCK),
    run(r"kubectl delete tenants,sites --all --wait", REMOVE),
    run(r"sed s/NAME/phoenix/ deploy/manifests/clean/nodes.yaml \| kubectl apply -f -"),
    test(r"kubectl -n sluice-clean rollout status .*", "tests/e2e/sluice_e2e/teardown.py",
         '"rollout", "status", "daemonset/sluice-clean"'),
    run(r"kubectl delete namespace sluice-clean"),
    run(r"helm uninstall sluice .*", REMOVE),
    run(r"kubectl delete -f deploy/crds", REMOVE),
    run(r"kubectl delete namespace sluice-system", REMOVE),
    test(r"kubectl sluice why site/phoenix", "tests/e2e/sluice_e2e/main_job.py",
         'sluice("why", "site/phoenix")'),
    test(r"kubectl sluice why site/phoenix -o json", "tests/e2e/sluice_e2e/main_job.py",
         'sluice("why", "site/phoenix", "-o", "json")'),
    test(r"kubectl sluice can-advance site/phoenix --dry-run",
         "controller/cmd/kubectl_sluice/kubectl_sluice_test.cc",
         "SaysNoWithEveryHoldAndYesOnlyWhileEveryPassIsValid"),
    test(r"kubectl sluice can-advance rollout/weekly --dry-run", "tests/integration/rollout_test.py",
         '"can-advance", "rollout/weekly", "--dry-run"'),
    test(r"kubectl sluice agenda", "tests/integration/governance_test.py", 'self.sluice("agenda")'),
    test(r"kubectl sluice agenda --print-calendar >calendar.yaml", "tests/integration/governance_test.py",
         '"agenda", "--print-calendar"'),
    test(r"kubectl sluice agenda --calendar calendar.yaml", "tests/integration/governance_test.py",
         '"agenda", "--calendar"'),
    test(r"deploy/dashboards/check \S+", "tests/lint/packaging/dashboard_check_test.py", "check.main"),
    never(r"kubectl -n \S+ logs .*", PODS),
    never(r"kubectl -n sluice-site-NAME describe daemonset .*", PODS),
    never(r"kubectl -n sluice-site-NAME delete pod POD", PODS),
    never(r"kubectl -n sluice-site-NAME rollout restart daemonset/sluice-agent", PODS),
    test(r"make demo( KEEP=1)?", "Makefile", "demo: setup"),
    test(r"make demo-down", "Makefile", "demo-down:"),
    test(r"make test(-full)?", ".ci/run", "make test"),
    test(r"make help", "Makefile", "help:"),
]
# Lines of the README that need not be there yet.
OPTIONAL = re.compile(r"make ")


def pages():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(text):
    """(line number, command) of every ```console block; a trailing backslash joins lines, and a prompt
    is left out."""
    found, inside, pending, start = [], False, "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            inside = not inside and line.strip() == "```console"
            continue
        if not inside or not line.strip() or line.startswith("#"):
            continue
        start = start if pending else number
        pending += line.strip().removeprefix("$ ")
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        found.append((start, pending))
        pending = ""
    return found


def cover_of(command):
    return next((c for c in COVERED if re.fullmatch(c.pattern, command)), None)


def problems(found, root=ROOT):
    """What is wrong, as lines for people. `found`: (page, line, command)."""
    used = set()
    for page, line, command in found:
        cover = cover_of(command)
        if cover is None:
            yield f"{page}:{line}: no test is named for: {command}"
            continue
        used.add(cover)
        if cover.how != "test":
            continue
        file = root / cover.where
        if not file.exists() or cover.text not in file.read_text():
            yield f"{page}:{line}: {cover.where} does not have \"{cover.text}\", which covers: {command}"
    for cover in COVERED:
        if cover not in used and not OPTIONAL.match(cover.pattern):
            yield f"docs_commands.py: no page has a command like {cover.pattern}"


def all_commands():
    return [(str(page.relative_to(ROOT)), line, command)
            for page in pages() for line, command in commands(page.read_text())]


def main(arguments):
    found = all_commands()
    if arguments == ["--list"]:
        for page, line, command in found:
            cover = cover_of(command)
            print(f"{cover.how if cover else '?':5} {page}:{line}: {command}")
        return 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    wrong = list(problems(found))
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
