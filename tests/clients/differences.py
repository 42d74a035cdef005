"""A list of tests that end differently behind the agent, by reason, and how a run is judged by it.

In the file: "# reason", then the names it is the reason of. Reasons that begin with "# Unsteady" are
of tests that differ in some runs only, without the agent too.
"""
import collections

UNREASONED = "# NO REASON YET"
UNSTEADY = "# Unsteady"


class Differences:
    def __init__(self, path):
        self.path = path
        self.reasons = {}
        reason = None
        for line in path.read_text().splitlines() if path.exists() else []:
            if line.startswith("# "):
                reason = line
            elif line.strip():
                self.reasons[line.strip()] = reason

    def unsteady(self):
        return {n for n, reason in self.reasons.items() if (reason or "").startswith(UNSTEADY)}

    def steady(self):
        return sorted(set(self.reasons) - self.unsteady())

    def write(self, names):
        groups = collections.defaultdict(list)
        for name in names:
            groups[self.reasons.get(name, UNREASONED)].append(name)
        self.path.write_text("\n".join(f"{reason}\n" + "".join(f"{n}\n" for n in sorted(of_reason))
                                       for reason, of_reason in sorted(groups.items())))
        self.__init__(self.path)

    def suspects(self, alone, agent):
        """Tests that did not end as the list has it. Suites have time limits of their own, which a
        loaded machine passes: these are worth another look."""
        return sorted(n for n in alone if n not in self.unsteady() and
                      (bool(alone[n]) != bool(agent.get(n, "did not run"))) != (n in self.reasons))

    def judge(self, alone, agent, whole=True, write=False):
        """`alone`, `agent`: {test: "" when it passed, or what it said}. `whole`: every test was run.
        Prints what is wrong with the list; 1 when something is."""
        differing = {n: agent.get(n, "did not run") for n, said in alone.items()
                     if bool(said) != bool(agent.get(n, "did not run"))}
        if write:
            self.write(set(differing) | self.unsteady())
        new = sorted(n for n in differing if n not in self.reasons)
        gone = sorted(n for n in self.steady() if n in alone and n not in differing)
        unknown = sorted(n for n in self.reasons if n not in alone) if whole else []
        for name in sorted(differing) if write else new:
            print(f"DIFFERS {name}: {differing[name] or 'passes here; alone: ' + alone[name]}")
        for name in gone:
            print(f"NO LONGER DIFFERS {name}: take it off {self.path.name}")
        for name in unknown:
            print(f"NO SUCH TEST {name}: take it off {self.path.name}")
        unreasoned = [n for n, reason in self.reasons.items() if reason in (None, UNREASONED)]
        for name in unreasoned:
            print(f"NO REASON {name}")
        print(f"{len(alone) - len(differing)} of {len(alone)} tests as without the agent, "
              f"{len(differing)} differ, {len(differing) - len(new)} of them listed")
        return 1 if new or gone or unknown or unreasoned else 0
