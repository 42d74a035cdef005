"""Whether a run fails, its table, and what is kept of a failed case. Pure but for writing files."""
import collections
import json

from . import faults

# Cases take 1 to 4 s, a few 17. One that gets to its end only after this waited for a time to run out: what
# should have woken the controller did not come.
SLOW_SECONDS = 45
REPEATS = 2  # of a case that did not reach its point, though each run without faults had it
# Which write is the K-th differs from run to run; more that stay unreached than this mean that points are counted
# that cases do not have.
UNREACHED_SHARE = 0.01
RUN_SHARE = 0.8  # of the cases asked for; --seconds may leave the rest out


def too_slow(result):
    """Why it fails though its end is right; "" if it does not."""
    if result["seconds"] <= SLOW_SECONDS:
        return ""
    return f"slow: it came to the right end after {result['seconds']} s, more than {SLOW_SECONDS} s"


def failures(results, asked):
    """Why the run fails, in lines; none when it does not. `asked`: how many cases there should be."""
    lines = [f"failed: {r['case']}" for r in results if not r["ok"]]
    sure = [r for r in results if r["sure"]]
    missed = [r["case"] for r in sure if not r["fired"]]
    if len(missed) > max(1, UNREACHED_SHARE * len(sure)):
        lines.append(f"{len(missed)} of {len(sure)} cases never reached their point: " + " ".join(missed))
    if len(results) < RUN_SHARE * asked:
        lines.append(f"only {len(results)} of {asked} cases were run")
    return lines


def span(points):
    """(surely, at most), for people."""
    low, high = points
    return str(low) if low == high else f"{low}-{high}"


def table(results, counts, names):
    """Lines of markdown: kinds by scenarios, "green/run" and the number of points there are. `counts`: of
    (scenario, kind), surely and at most."""
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
            points = counts[name, kind]
            ok, ran = cells[name, kind]
            row.append(f"{ok}/{ran} of {span(points)}" if points[1] else "no point")
        lines.append(f"| {kind}: {faults.KINDS[kind].what} | " + " | ".join(row) + " |")
    return lines


def summary(results, total_points, seconds):
    green = sum(r["ok"] for r in results)
    fired = sum(r["fired"] for r in results)
    missed = sum(r["sure"] and not r["fired"] for r in results)
    return (f"{green} of {len(results)} cases green, in {fired} the fault's point was reached, in {missed} "
            f"it was not though it surely exists; {span(total_points)} points in all; {seconds:.0f} s")


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
