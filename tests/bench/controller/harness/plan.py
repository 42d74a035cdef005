"""How much is measured in each form of the benchmark."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Load:
    """`count` objects of about `size_bytes`."""
    count: int
    size_bytes: int
    resyncs: int  # at least
    rates: tuple = ()  # updates per second, for latency
    rate_seconds: float = 0


@dataclasses.dataclass(frozen=True)
class Plan:
    loads: tuple  # the first is the one whose figures stand at the top of the report
    repeats: int = 5
    settle_seconds: float = 3  # until memory is taken for steady
    rest_seconds: float = 3
    noop_seconds: float = 1  # at least, of reconciles that find nothing to do
    failover: bool = True


SMALL = 1700
LARGE = 8000
RATES = (10, 30, 60)

FORMS = {
    # Shows that the programs follow the protocol and every figure is made; their values mean nothing.
    "smoke": Plan(loads=(Load(25, SMALL, 1, (20,), 0.5),), repeats=1, settle_seconds=0.2,
                  rest_seconds=0.5, noop_seconds=0),
    # Three minutes of a machine that others use, too.
    "brief": Plan(loads=(Load(1000, SMALL, 20, RATES, 2.5),), repeats=2, settle_seconds=2,
                  rest_seconds=2, failover=False),
    "short": Plan(loads=(Load(3000, SMALL, 10, RATES, 2.5), Load(800, LARGE, 5)),
                  settle_seconds=2.5, rest_seconds=2),
    "full": Plan(loads=(Load(10_000, SMALL, 10, RATES, 15), Load(30_000, SMALL, 5),
                        Load(1000, SMALL, 20), Load(10_000, LARGE, 5), Load(1000, LARGE, 20),
                        Load(30_000, LARGE, 3)),
                 settle_seconds=5, rest_seconds=20),
}


def chosen(form, repeats=None, only=None):
    """The form's plan, with fewer repeats or loads where they are asked for."""
    plan = FORMS[form]
    if repeats:
        plan = dataclasses.replace(plan, repeats=repeats)
    if only:
        plan = dataclasses.replace(plan, loads=tuple(plan.loads[i] for i in only))
    return plan
