"""From the rounds' figures to medians, ratios with their spread, the JSON file and the table."""
import statistics

from bench_cases import AGENT, STATIC, label, targets

KEPT = ("rps", "gib_s", "cpu_us_per_request", "cpu_s_per_gib", "server_cpu", "client_cpu")
LATENCIES = ("p50_us", "p99_us", "p999_us")


def collect(runs):
    """{server: {case: {figure: [one a round]}}}; latencies are the open loop's where there is one."""
    table = {}
    for server, case, figures in runs:
        row = table.setdefault(server, {}).setdefault(label(case), {})
        row.setdefault("errors", []).append(figures["errors"])
        if case.loop == "closed":
            for name in KEPT:
                row.setdefault(name, []).append(figures[name])
            # Bytes count as they come, requests only when whole: better where a body takes long.
            row.setdefault("rate", []).append(figures["gib_s"])
        for name in LATENCIES:
            row.setdefault(f"{case.loop}_{name}", []).append(figures[name])
    for rows in table.values():
        for row in rows.values():
            row["latency_loop"] = "open" if "open_p50_us" in row else "closed"
            for name in LATENCIES:
                row[name] = row[f"{row['latency_loop']}_{name}"]
    return table


def medians(table):
    out = {}
    for server, rows in table.items():
        for case, row in rows.items():
            kept = {name: round(statistics.median(values), 4) for name, values in row.items()
                    if isinstance(values, list) and name not in ("rate", "errors")}
            kept["errors"] = sum(row["errors"])
            kept["latency_loop"] = row["latency_loop"]
            kept["spread"] = {name: [round(min(row[name]), 4), round(max(row[name]), 4)]
                              for name in (*KEPT, *LATENCIES) if name in row}
            out.setdefault(server, {})[case] = kept
    return out


def ratios(table):
    """One row a target: the ratio in each round, its median, and whether it holds."""
    out = []
    for target in targets():
        over = table.get(target.over[0], {}).get(target.over[1], {}).get(target.figure)
        under = table.get(target.under[0], {}).get(target.under[1], {}).get(target.figure)
        row = {"target": target.text, "bound": f"{target.relation} {target.bound}"}
        pairs = [(a, b) for a, b in zip(over or [], under or []) if b > 0]
        if pairs:
            values = [a / b for a, b in pairs]
            middle = statistics.median(values)
            held = middle >= target.bound if target.relation == ">=" else middle <= target.bound
            row.update(ratio=round(middle, 3), low=round(min(values), 3), high=round(max(values), 3),
                       verdict="met" if held else "MISS")
        else:
            row["verdict"] = "not measured"
        out.append(row)
    return out


def print_figures(middle):
    print(f"\n{'server':18} {'case':12} {'req/s':>9} {'GiB/s':>7} {'p50 us':>9} {'p99 us':>9} {'loop':6} "
          f"{'cpu us/req':>10} {'cpu s/GiB':>9} {'server':>6} {'client':>6} {'errors':>6}")
    for server, rows in middle.items():
        for case, row in rows.items():
            print(f"{server:18} {case:12} {row.get('rps', 0):9.0f} {row.get('gib_s', 0):7.2f} {row['p50_us']:9.1f} "
                  f"{row['p99_us']:9.1f} {row['latency_loop']:6} {row.get('cpu_us_per_request', 0):10.2f} "
                  f"{row.get('cpu_s_per_gib', 0):9.3f} {row.get('server_cpu', 0):6.0%} {row.get('client_cpu', 0):6.0%} "
                  f"{row['errors']:6}")


def print_ratios(rows):
    print(f"\n{'target':62} {'bound':>8} {'ratio':>8} {'of the rounds':>17}  verdict")
    for row in rows:
        spread = f"{row['low']:.2f} to {row['high']:.2f}" if "low" in row else ""
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        print(f"{row['target']:62} {row['bound']:>8} {ratio:>8} {spread:>17}  {row['verdict']}")
    missed = sum(row["verdict"] == "MISS" for row in rows)
    measured = sum(row["verdict"] != "not measured" for row in rows)
    print(f"\n{measured - missed} of {measured} measured targets met, {missed} missed, "
          f"{len(rows) - measured} not measured ({AGENT} against {STATIC} unless a row says otherwise)")
