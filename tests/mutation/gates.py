#!/usr/bin/env python3
"""Mutates the conditions of the evaluator one at a time and reports how many a test notices.

Each mutant is one compilation of one file into a scratch folder, linked in front of the library into
the folder's test. Exit code: 0, or 1 when the score is below --least, 2 when nothing could be tried.
"""
import argparse
import json
import pathlib
import random
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ("evaluate.cc", "judge.cc", "evidence.cc", "slo.cc", "cause.cc")
# Operators with blanks around them: templates and streams have none.
SWAPS = {" < ": " <= ", " <= ": " < ", " > ": " >= ", " >= ": " > ", " == ": " != ",
         " != ": " == ", " && ": " || ", " || ": " && "}
OPERATOR = re.compile("|".join(re.escape(op) for op in sorted(SWAPS, key=len, reverse=True)))
IF = re.compile(r"\bif \(")
# What needs processes or the network says nothing about the evaluator, and takes long.
FILTER = "-Gather*:*Prometheus*:SloRules*"


def closing(text, start):
    """Index of the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    return -1


def blank(text):
    """The text with comments and strings blanked, so that positions stay."""
    return re.sub(r'//[^\n]*|"(?:\\.|[^"\\\n])*"|^#[^\n]*',
                  lambda m: " " * len(m.group(0)), text, flags=re.M)


def mutants(path):
    text = path.read_text()
    code = blank(text)
    for m in OPERATOR.finditer(code):
        line = code[code.rfind("\n", 0, m.start()) + 1:code.find("\n", m.end())]
        if "template" in line or "&&>" in line:
            continue
        new = SWAPS[m.group(0)]
        yield m.start(), m.group(0).strip() + " -> " + new.strip(), \
            text[:m.start()] + new + text[m.end():]
    for m in IF.finditer(code):
        start = m.end() - 1
        end = closing(code, start)
        inside = text[start + 1:end]
        if end < 0 or ";" in code[start:end]:
            continue  # if (init; condition)
        if re.match(r"(const )?auto ", inside.strip()):
            continue
        yield m.start(), "if negated", text[:start + 1] + "!(" + inside + ")" + text[end:]


class Builder:
    def __init__(self, build, scratch):
        self.build, self.scratch = build, scratch
        commands = json.loads((build / "compile_commands.json").read_text())
        self.compile = {pathlib.Path(c["file"]).name: c for c in commands
                        if "/reconcilers_gates.dir/" in c.get("output", c["command"])}
        lines = subprocess.run(["ninja", "-C", build, "-t", "commands", "reconcilers_gates_test"],
                               capture_output=True, text=True, check=True).stdout.splitlines()
        self.link = next(line for line in reversed(lines) if "-o bin/reconcilers_gates_test" in line)

    def run(self, name, text):
        """killed, survived or broken (does not compile)."""
        source = self.scratch / name
        source.write_text(text)
        entry = self.compile[name]
        command = shlex.split(entry["command"])
        command[command.index("-o") + 1] = str(self.scratch / "mutant.o")
        command[command.index("-c") + 1] = str(source)
        done = subprocess.run(command, cwd=entry["directory"], capture_output=True, timeout=900)
        if done.returncode != 0:
            return "broken"
        binary = self.scratch / "mutant_test"
        link = self.link.replace("-o bin/reconcilers_gates_test", f"-o {binary} {self.scratch}/mutant.o")
        subprocess.run(link, shell=True, cwd=self.build, check=True, capture_output=True, timeout=600)
        try:
            done = subprocess.run([binary, f"--gtest_filter={FILTER}", "--gtest_fail_fast"], cwd=ROOT,
                                  capture_output=True, timeout=300)
        except subprocess.TimeoutExpired:
            return "killed"
        return "survived" if done.returncode == 0 else "killed"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/debug")
    parser.add_argument("--sample", type=int, default=0, help="so many of them, by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", nargs="*", default=FILES)
    parser.add_argument("--least", type=float, default=0.0, help="score below which it fails")
    parser.add_argument("--list", action="store_true", help="only count them")
    args = parser.parse_args()
    todo = [(name, *mutant) for name in args.files
            for mutant in mutants(ROOT / "reconcilers/gates" / name)]
    if args.list:
        for name in args.files:
            print(f"{name}: {sum(1 for t in todo if t[0] == name)}")
        return 0
    if args.sample:
        todo = random.Random(args.seed).sample(todo, min(args.sample, len(todo)))
    count = {"killed": 0, "survived": 0, "broken": 0}
    with tempfile.TemporaryDirectory(prefix="sluice-mutants-") as scratch:
        builder = Builder(args.build.resolve(), pathlib.Path(scratch))
        for name, at, what, text in todo:
            outcome = builder.run(name, text)
            count[outcome] += 1
            line = (ROOT / "reconcilers/gates" / name).read_text()[:at].count("\n") + 1
            print(f"{outcome:8} reconcilers/gates/{name}:{line}: {what}", flush=True)
    tried = count["killed"] + count["survived"]
    if tried == 0:
        return 2
    score = count["killed"] / tried
    print(f"score {score:.2f}: {count['killed']} of {tried} noticed"
          f" ({count['broken']} did not compile), seed {args.seed}")
    return 0 if score >= args.least else 1


if __name__ == "__main__":
    sys.exit(main())
