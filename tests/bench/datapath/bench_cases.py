"""What is measured: sizes, cases, and the targets as ratios between two cases of one run."""
import collections

KIB, MIB = 1 << 10, 1 << 20
SIZES = {"4KiB": 4 * KIB, "64KiB": 64 * KIB, "1MiB": MIB, "8MiB": 8 * MIB, "64MiB": 64 * MIB}
MIX_KEYS = 1000  # of 64 KiB each

AGENT, STATIC, CACHE, VARNISH, GATEWAY = "sluice-agent", "nginx-static", "nginx-proxy-cache", "varnish", "versitygw"
PEERS = (CACHE, VARNISH, GATEWAY)

# `loop`: "closed", or "open" at a rate taken from nginx-static's closed loop of the same size.
Case = collections.namedtuple("Case", "size connections loop servers")
OPEN_SHARE = 0.5  # of nginx-static's closed-loop rate

def label(case):
    """A case's name in the JSON: plain at 32 connections, "size@connections" otherwise."""
    name = case.size if case.connections == 32 else f"{case.size}@{case.connections}"
    return name


def cases(level, descriptors):
    both = (AGENT, STATIC)
    if level == "smoke":
        return [Case(size, 32, "closed", both) for size in ("4KiB", "64KiB", "1MiB")]
    out = []
    for size in (*SIZES, "mix"):
        peers = PEERS if size in ("4KiB", "64KiB", "1MiB", "8MiB") else ()
        out.append(Case(size, 32, "closed", both + peers))
        out.append(Case(size, 32, "open", both))
    for size in ("4KiB", "64KiB", "1MiB"):
        out.append(Case(size, 256, "closed", both + (PEERS if level == "full" else ())))
        out.append(Case(size, 256, "open", both))
    for size in SIZES:
        out.append(Case(size, 1, "closed", both))
    out.append(Case("64KiB", 1000, "closed", both))
    if descriptors > 10500:
        out.append(Case("64KiB", 10000, "closed", both))
    return out


# (row, figure, numerator server and case, denominator server and case, "<=" or ">=", bound)
Target = collections.namedtuple("Target", "text figure over under relation bound")


def targets():
    out = []

    def add(text, figure, case, relation, bound, under_server=STATIC, under_case=None):
        out.append(Target(text, figure, (AGENT, case), (under_server, under_case or case), relation, bound))

    for size, bound in (("4KiB", 1.2), ("64KiB", 1.2), ("mix", 1.0), ("1MiB", 1.0), ("8MiB", 1.0), ("64MiB", 0.95)):
        add(f"rate against nginx static, 32 connections, {size}", "rate", size, ">=", bound)
    for size, bound in (("4KiB", 1.2), ("64KiB", 1.25), ("1MiB", 1.05)):
        add(f"rate against nginx static, 256 connections, {size}", "rate", f"{size}@256", ">=", bound)
    for size in ("4KiB", "64KiB"):
        add(f"server CPU per request against nginx static, {size}", "cpu_us_per_request", size, "<=", 0.85)
    for size in ("1MiB", "8MiB", "64MiB"):
        add(f"server CPU per GiB against nginx static, {size}", "cpu_s_per_gib", size, "<=", 1.0)
    for size in SIZES:
        add(f"one connection, p50 against nginx static, {size}", "p50_us", f"{size}@1", "<=", 1.2)
    for size in ("4KiB", "64KiB", "1MiB"):
        add(f"256 connections, open loop, p99 against nginx static, {size}", "p99_us", f"{size}@256", "<=", 1.0)
    for connections, bound in ((1000, 0.9), (10000, 0.7)):
        add(f"{connections} connections, 64KiB, rate against 256", "rate", f"64KiB@{connections}", ">=", bound,
            AGENT, "64KiB@256")
    for size, bound in (("4KiB", 14), ("64KiB", 10), ("1MiB", 2.4), ("8MiB", 1.3)):
        add(f"rate against versitygw, {size}", "rate", size, ">=", bound, GATEWAY)
    return out
