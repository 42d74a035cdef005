"""From lists of values to medians, spread, ratios, a verdict on each target, and their text."""
import statistics

OURS, RIVAL = "sluice", "controller-runtime"
# The same programs, set otherwise (README.md).
CONSISTENT = "sluice-consistent-start"
NO_DEEP_COPY = "controller-runtime-no-deep-copy"
LISTING = "controller-runtime-listing"
# Each compared with the one that is as bold. The first is the comparison.
PAIRS = ((OURS, RIVAL), (CONSISTENT, RIVAL), (OURS, NO_DEEP_COPY), (OURS, LISTING))

# What controller.json holds of each contender, for other tools.
KEYS = ("sync_seconds", "sync_cpu_seconds", "bytes_per_object", "base_bytes", "noop_per_second",
        "write_cpu_seconds_per_10k", "latency_p50_ms", "latency_p99_ms", "ready_seconds",
        "failover_seconds", "writes_at_rest")


def median(values):
    return statistics.median(values)


def quartiles(values):
    """(first, third) quartile; the only value twice when there is one."""
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def percentile(ordered, share):
    """Nearest rank; `ordered` ascending."""
    rank = max(1, -(-len(ordered) * share // 100))
    return ordered[int(rank) - 1]


def summary(values):
    first, third = quartiles(values)
    return {"median": median(values), "q1": first, "q3": third, "values": list(values)}


def with_latencies(figures):
    """Lists of latencies become p50 and p99, one value a repeat."""
    out = {}
    for name, values in figures.items():
        if name.startswith("latencies_ms_at_"):
            rate = name.rsplit("_", 1)[1]
            out[f"latency_p50_ms_at_{rate}"] = [percentile(v, 50) for v in values]
            out[f"latency_p99_ms_at_{rate}"] = [percentile(v, 99) for v in values]
        else:
            out[name] = values
    return out


# (figure, what it is compared by, limit). "at most" and "at least" speak of ours / theirs; "ours at
# most" of our figure alone.
BASE_TARGETS = (
    ("ready_seconds", "at most", 0.15),
    ("base_bytes", "at most", 0.4),
    ("failover_seconds", "at most", 1.0),
)
LOAD_TARGETS = (
    ("reconciled_cpu_seconds", "at most", 0.25),
    ("bytes_per_object", "at most", 0.33),
    ("peak_over_steady", "ours at most", 0.10),
    ("noop_per_second", "at least", 4.0),
    ("write_cpu_seconds_per_10k", "at most", 0.3),
    ("latency_p50_ms_at_10", "at most", 0.95),
    ("latency_p50_ms_at_30", "at most", 0.95),
    ("latency_p50_ms_at_60", "at most", 0.95),
    ("cpu_ms_per_update_at_60", "at most", 0.3),
    ("writes_at_rest", "ours at most", 0),
)


def judge(targets, ours, theirs):
    """One row for each target whose figure was measured. `ours` and `theirs`: figure → values;
    `theirs` may be None."""
    rows = []
    for figure, kind, limit in targets:
        if figure not in ours:
            continue
        mine = median(ours[figure])
        other = median(theirs[figure]) if theirs else None
        row = {"figure": figure, "ours": mine, "theirs": other, "target": f"{kind} {limit:g}",
               "ratio": mine / other if other else None, "met": None}
        if kind == "ours at most":
            row["met"] = (max(ours[figure]) if limit == 0 else mine) <= limit
        elif row["ratio"] is not None:
            row["met"] = row["ratio"] <= limit if kind == "at most" else row["ratio"] >= limit
        rows.append(row)
    return rows


def flat(base, load):
    """The keys other tools read, as medians."""
    wanted = {key: load.get(key) for key in
              ("sync_seconds", "sync_cpu_seconds", "reconciled_cpu_seconds", "bytes_per_object",
               "noop_per_second", "noop_per_cpu_second", "write_cpu_seconds_per_10k",
               "peak_over_steady", "cpu_ms_per_update_at_60", "writes_at_rest")}
    wanted |= {key: base.get(key) for key in ("base_bytes", "ready_seconds", "failover_seconds")}
    rates = sorted(int(key.rsplit("_", 1)[1]) for key in load if key.startswith("latency_p50"))
    if rates:  # at the highest rate; the others stand beside it under their own names
        for key in ("latency_p50_ms", "latency_p99_ms"):
            wanted[key] = load[f"{key}_at_{rates[-1]}"]
    return {key: median(values) for key, values in wanted.items() if values}


def missing(plan, report, names):
    """(contender, key) of what the plan promised and the report lacks."""
    promised = set(KEYS)
    if not plan.failover:
        promised.remove("failover_seconds")
    if not plan.loads[0].rates:
        promised -= {"latency_p50_ms", "latency_p99_ms"}
    return [(name, key) for name in names for key in sorted(promised - set(report.get(name, {})))]


def wrote_at_rest(report):
    """Those of whom a write was seen while there was nothing to write."""
    return sorted({name for load in report["loads"] for name, figures in load["figures"].items()
                   if any(figures.get("writes_at_rest", {}).get("values", ()))})


def build(plan, form, base, loads, machine):
    """The whole of controller.json. `base`: contender → figures; `loads`: one such a load."""
    base = {name: with_latencies(f) for name, f in base.items()}
    loads = [{name: with_latencies(f) for name, f in load.items()} for load in loads]
    out = {name: flat(base[name], loads[0][name]) for name in base}
    ours, theirs = base[OURS], base.get(RIVAL)
    out["form"] = form
    out["machine"] = machine
    out["base"] = {"targets": judge(BASE_TARGETS, ours, theirs),
                   "figures": {n: {k: summary(v) for k, v in f.items()} for n, f in base.items()}}
    out["loads"] = [{"objects": load.count, "size_bytes": load.size_bytes,
                     "targets": judge(LOAD_TARGETS, figures[OURS], figures.get(RIVAL)),
                     "figures": {n: {k: summary(v) for k, v in f.items()}
                                 for n, f in figures.items()}}
                    for load, figures in zip(plan.loads, loads)]
    return out


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _spread(figures, name, figure):
    found = figures.get(name, {}).get(figure)
    if found is None:
        return "-"
    if found["q1"] == found["q3"]:
        return number(found["median"])
    return f"{number(found['median'])} ({number(found['q1'])}..{number(found['q3'])})"


def _section(title, section, ours=OURS, theirs=RIVAL):
    figures = section["figures"]
    lines = [f"\n{title}", f"  {'figure':28}{ours:>30}{theirs:>32}{'ratio':>8}  target"]
    judged = {row["figure"]: row for row in section["targets"]}
    for figure in sorted(figures[ours], key=lambda f: (f not in judged, f)):
        row = judged.get(figure, {})
        verdict = {True: "met", False: "MISSED", None: ""}[row.get("met")]
        ratio = row.get("ratio")
        if not row and figure in figures.get(theirs, {}):
            other = figures[theirs][figure]["median"]
            ratio = figures[ours][figure]["median"] / other if other else None
        lines.append(f"  {figure:28}{_spread(figures, ours, figure):>30}"
                     f"{_spread(figures, theirs, figure):>32}{number(ratio):>8}"
                     f"  {row.get('target', ''):18} {verdict}".rstrip())
    return lines


def _sections(report, ours=OURS, theirs=RIVAL):
    parts = [("No objects", report["base"], BASE_TARGETS)]
    parts += [(f"{load['objects']:,} objects of about {load['size_bytes']} bytes", load,
               LOAD_TARGETS) for load in report["loads"]]
    lines = []
    for title, section, targets in parts:
        if (ours, theirs) != PAIRS[0]:
            mine, other = ({figure: found["values"] for figure, found in
                            section["figures"][name].items()} for name in (ours, theirs))
            targets = [target for target in targets if target[0] in mine and target[0] in other]
            section = section | {"targets": judge(targets, mine, other)}
        lines += _section(title, section, ours, theirs)
    return lines


def text(report):
    """The table for people: median (quartiles) of each, the ratio, the target, met or MISSED."""
    lines = _sections(report)
    rows = report["base"]["targets"] + [r for load in report["loads"] for r in load["targets"]]
    missed = sum(row["met"] is False for row in rows)
    lines.append(f"\n{sum(row['met'] is True for row in rows)} targets met, {missed} missed")
    for pair in PAIRS[1:]:
        if all(name in report["base"]["figures"] for name in pair):
            lines += [f"\nThe same figures, {pair[0]} beside {pair[1]}", *_sections(report, *pair)]
    return "\n".join(lines)
