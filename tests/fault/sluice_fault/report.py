"""The table of a run, and what is kept of a failed case. Pure but for writing files."""
import collections
import json

from . import faults


def table(results, counts, names):
    """Lines of markdown: kinds by scenarios, "green/run" and the number of points there are."""
    cells = collections.defaultdict(lambda: [0, 0])
    for result in results:
        cell = cells[result["scenario"], result["kind"]]
        cell[0] += result["ok"]
        cell[1] += 1
    kinds = list(faults.KINDS)
    lines = ["| fault | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for kind in kinds:
        row = []
        for name in names:
            points = counts[name].get(faults.KINDS[kind].counts, 0)
            ok, ran = cells[name, kind]
            row.append(f"{ok}/{ran} of {points}" if points else "no point")
        lines.append(f"| {kind}: {faults.KINDS[kind].what} | " + " | ".join(row) + " |")
    return lines


def summary(results, total_points, seconds):
    green = sum(r["ok"] for r in results)
    fired = sum(r["fired"] for r in results)
    return (f"{green} of {len(results)} cases green, in {fired} the fault's point was reached; "
            f"{total_points} points in all; {seconds:.0f} s")


def keep(folder, result):
    """Writes what is needed to understand a failed case; returns the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (result["case"].replace("/", "-") + ".txt")
    path.write_text("\n".join([result["why"], "", "== what went by", *result["journal"], "",
                               "== the controller", result["log"]]))
    return path


def write_json(path, results, counts, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    slim = [{k: v for k, v in r.items() if k not in ("journal", "log")} for r in results]
    path.write_text(json.dumps({"seconds": seconds, "points": counts, "cases": slim}, indent=1))
