#!/usr/bin/env python3
"""Changes every condition of the evaluator, one at a time, and reports how many a test notices.

All mutants are compiled into one test program; SLUICE_MUTANT=N in its environment switches the N-th on.
Exit code: 0; 1 when a mutant survives that `excused.txt` does not name; 2 when nothing could be tried.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = "reconcilers/gates"
FILES = ("evaluate.cc", "judge.cc", "judge_people.cc", "tally.cc", "evidence.cc", "slo.cc", "calendar.cc", "cause.cc")
EXCUSED = pathlib.Path(__file__).with_name("excused.txt")
# What needs processes or the network says nothing about the evaluator, and takes long; what takes a second
# is asked last.
FILTERS = ("-Gather*:*Prometheus*:SloRules*:Property*", "Property*")
RUN_SECONDS = 60
COMPILE_SECONDS = 900
# Operators with blanks around them, templates and streams have none: what they become, how tightly they
# bind, and the function of the header that stands for them.
Operator = collections.namedtuple("Operator", "becomes binds function")
OPERATORS = {"||": Operator("&&", 1, ""), "&&": Operator("||", 2, ""),
             "==": Operator("!=", 3, "Equal"), "!=": Operator("==", 3, "NotEqual"),
             "<": Operator("<=", 4, "Less"), "<=": Operator("<", 4, "LessEqual"),
             ">": Operator(">=", 4, "Greater"), ">=": Operator(">", 4, "GreaterEqual")}
OPERATOR = re.compile(r" (" + "|".join(re.escape(op) for op in sorted(OPERATORS, key=len, reverse=True)) +
                      r")(?=\s)")
IF = re.compile(r"\bif \(")
# What ends an operand, beside a bracket that closes around it and operators that bind less tightly.
ENDS = re.compile(r"[,;?]|(?<!:):(?!:)|\b(?:return|case|else)\b|(?<![=!<>])=(?!=)")
HEADER = """#pragma once
#include <cstdlib>
namespace mutation {
inline const int active = std::getenv("SLUICE_MUTANT") ? std::atoi(std::getenv("SLUICE_MUTANT")) : 0;
inline bool Is(int mutant) { return active == mutant; }
#define SLUICE_SWAP(name, op, other) \\
  template <typename A, typename B> bool name(int mutant, const A& a, const B& b) { \\
    return Is(mutant) ? a other b : a op b; \\
  }
%s
}  // namespace mutation
""" % "\n".join(f"SLUICE_SWAP({o.function}, {op}, {o.becomes})" for op, o in OPERATORS.items() if o.function)

Mutant = collections.namedtuple("Mutant", "file line what begin at after end binds")


def blank(text):
    """The text with comments, strings, preprocessor lines and what the compiler computes blanked, so that
    positions stay."""
    for what in (r"""//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'|^\#[^\n]*""",
                 r"(?s)^constexpr [^\n;=]*\{$.*?^\}"):
        text = re.sub(what, lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.M)
    return text


def edge(code, ends, at, step, binds):
    """Where the operand ends that begins beside `at` and goes on in that direction; -1: nowhere."""
    opening, closing = ("([{", ")]}") if step > 0 else (")]}", "([{")
    depth = 0
    while 0 <= at < len(code):
        if code[at] in opening:
            depth += 1
        elif code[at] in closing:
            if depth == 0:
                return at
            depth -= 1
        elif depth == 0 and at in ends:
            return at
        elif depth == 0 and (found := OPERATOR.match(code, at)):
            other = OPERATORS[found.group(1)].binds
            if other < binds or (step > 0 and other == binds):  # equal ones bind to the left
                return at if step > 0 else found.end() - 1
        at += step
    return -1


def mutants(name):
    text = (ROOT / FOLDER / name).read_text()
    code = blank(text)
    ends = {at for m in ENDS.finditer(code) for at in range(*m.span())}

    def made(what, begin, at, after, end, binds):
        while code[begin].isspace() or text[begin].isspace():
            begin += 1
        while text[end - 1].isspace():
            end -= 1
        return Mutant(name, text[:at].count("\n") + 1, what, begin, at, after, end, binds)

    for m in OPERATOR.finditer(code):
        line = code[code.rfind("\n", 0, m.start()) + 1:code.find("\n", m.end())]
        if "template" in line:
            continue
        op = m.group(1)
        binds = OPERATORS[op].binds
        begin, end = edge(code, ends, m.start() - 1, -1, binds), edge(code, ends, m.end(), 1, binds)
        if begin < 0 or end < 0:
            continue
        yield made(f"{op} -> {OPERATORS[op].becomes}", begin + 1, m.start(), m.end(), end, binds)
    for m in IF.finditer(code):
        end = edge(code, ends, m.end(), 1, 0)
        # if (init; condition), and one that declares.
        if end < 0 or code[end] != ")" or re.match(r"\s*(const )?auto\b", code[m.end():end]):
            continue
        yield made("if negated", m.end(), m.end(), m.end(), end, 0)


def rewritten(text, chosen):
    """The text with all of `chosen` ({number: Mutant}) in it, switched at run time; lines stay."""
    edits = []  # (position, order at it, text, characters to drop)
    for number, m in chosen.items():
        is_it = f"::mutation::Is({number})"
        if m.binds == 0:
            start, middle, end = f"{is_it} != static_cast<bool>(", "", ")"
        elif m.binds <= 2:
            start = f"({is_it} != (({is_it} != static_cast<bool>("
            middle = f")) {text[m.at:m.after].strip()} ({is_it} != static_cast<bool>("
            end = "))))"
        else:
            start = f"::mutation::{OPERATORS[text[m.at:m.after].strip()].function}({number}, "
            middle, end = ",", ")"
        # Of several that begin at one place the widest is the outermost; ends the other way round.
        edits.append((m.begin, (1, -m.end, m.binds), start, 0))
        if m.binds:
            edits.append((m.at, (1, 0, 0), middle, m.after - m.at))
        edits.append((m.end, (0, -m.begin, -m.binds), end, 0))
    out, at = [], 0
    for position, _, insert, drop in sorted(edits):
        out += [text[at:position], insert]
        at = position + drop
    return "".join(out) + text[at:]


class Builder:
    def __init__(self, build, scratch):
        self.build, self.scratch = build, scratch
        commands = json.loads((build / "compile_commands.json").read_text())
        self.commands = [c for c in commands if "/reconcilers_gates.dir/" in c.get("output", c["command"])]
        lines = subprocess.run(["ninja", "-C", build, "-t", "commands", "reconcilers_gates_test"],
                               capture_output=True, text=True, check=True).stdout.splitlines()
        self.link = next(line for line in reversed(lines) if "-o bin/reconcilers_gates_test" in line)
        self.binary = scratch / "mutants_test"
        (scratch / "mutation.h").write_text(HEADER)
        (scratch / FOLDER).mkdir(parents=True)

    def compile(self, source):
        """The compiler's complaints about the library's sources, all of them with `source` in place of
        the files of its names; None when it is well."""
        for name, text in source.items():
            (self.scratch / FOLDER / name).write_text(text)
        objects = []
        for entry in self.commands:
            # One file that includes all others by their path from the root; or each by itself.
            path = pathlib.Path(entry["file"])
            if path.name in source:
                path = self.scratch / FOLDER / path.name
            elif "one_piece" not in path.name:
                continue
            objects.append(self.scratch / f"{len(objects)}.o")
            command = shlex.split(entry["command"])
            command[command.index("-o") + 1] = str(objects[-1])
            command[command.index("-c") + 1] = str(path)
            compiler = next(i for i, word in enumerate(command) if re.search(r"(\+\+|g\+\+)(-\d+)?$", word))
            command[compiler + 1:compiler + 1] = ["-I", str(self.scratch), "-include", "mutation.h", "-w"]
            done = subprocess.run(command + ["-O0", "-g0"], cwd=entry["directory"], capture_output=True,
                                  text=True, timeout=COMPILE_SECONDS)
            if done.returncode != 0:
                return done.stderr
        link = self.link.replace("-o bin/reconcilers_gates_test",
                                 f"-o {self.binary} {' '.join(map(str, objects))}")
        subprocess.run(link, shell=True, cwd=self.build, check=True, capture_output=True,
                       timeout=COMPILE_SECONDS)
        return None

    def make(self, numbered):
        """Compiles all mutants; those that do not compile are left out. Returns these."""
        left, broken = dict(numbered), {}
        while True:
            source = {name: rewritten((ROOT / FOLDER / name).read_text(),
                                      {n: m for n, m in left.items() if m.file == name}) for name in FILES}
            complaints = self.compile(source)
            if complaints is None:
                return broken
            places = {(file, int(line)) for file, line in
                      re.findall(FOLDER + r"/(\w+\.cc):(\d+)", complaints)}
            bad = {n: m for n, m in left.items() if (m.file, m.line) in places}
            if not bad:
                raise RuntimeError(complaints[:4000])
            broken.update(bad)
            left = {n: m for n, m in left.items() if n not in bad}

    def passes(self, number, tests):
        try:
            done = subprocess.run([self.binary, f"--gtest_filter={tests}", "--gtest_fail_fast"], cwd=ROOT,
                                  capture_output=True, timeout=RUN_SECONDS,
                                  env={**os.environ, "SLUICE_MUTANT": str(number)})
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def survives(self, number):
        return all(self.passes(number, tests) for tests in FILTERS)


def key(mutant):
    """What excused.txt calls it: the line's text, since numbers move."""
    line = (ROOT / FOLDER / mutant.file).read_text().splitlines()[mutant.line - 1].strip()
    return f"{mutant.file}: {mutant.what}: {line}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path,
                        default=pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", ROOT / "build/release")))
    parser.add_argument("--sample", type=int, default=0, help="so many of them, by --seed")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--list", action="store_true", help="only count them")
    args = parser.parse_args()
    numbered = dict(enumerate((m for name in FILES for m in mutants(name)), start=1))
    if args.list:
        for name, count in collections.Counter(m.file for m in numbered.values()).items():
            print(f"{name}: {count}")
        return 0
    excused = {line.partition(" # ")[0] for line in EXCUSED.read_text().splitlines()}
    count = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="sluice-mutants-") as scratch:
        builder = Builder(args.build.resolve(), pathlib.Path(scratch))
        broken = builder.make(numbered)
        for mutant in broken.values():
            print(f"no C++   {FOLDER}/{mutant.file}:{mutant.line}: {mutant.what}", flush=True)
        if not builder.survives(0):
            print("the tests fail without any mutant", file=sys.stderr)
            return 2
        todo = [n for n in numbered if n not in broken]
        if args.sample:
            todo = random.Random(args.seed).sample(todo, min(args.sample, len(todo)))
            print(f"sample of {len(todo)}, --seed {args.seed}", flush=True)
        for number in todo:
            mutant = numbered[number]
            outcome = "noticed" if not builder.survives(number) else \
                "excused" if key(mutant) in excused else "SURVIVED"
            count[outcome] += 1
            if outcome != "noticed":
                print(f"{outcome:8} {FOLDER}/{mutant.file}:{mutant.line}: {key(mutant)}", flush=True)
    if not todo:
        return 2
    print(f"score {count['noticed'] / len(todo):.3f}: {count['noticed']} of {len(todo)} noticed, "
          f"{count['excused']} excused, {count['SURVIVED']} survived; {len(broken)} are no C++")
    return 1 if count["SURVIVED"] else 0


if __name__ == "__main__":
    sys.exit(main())
