"""Runs one case on a lane: start state, controller, act, fault, wait for the end, judge."""
import dataclasses
import time

from . import etcd, faults, oracle, scenarios

CASE_SECONDS = 180     # a case that has not ended by then is stuck; it was seen to take 2 to 5
QUIET_SECONDS = 0.3    # without a write, before the world is read
REST_SECONDS = 0.8     # without a write, before a case is over
LONG_REST_SECONDS = 6  # the same for the run without faults: every timer of ours went off once
LOOK_SECONDS = 0.03
GAP_SECONDS = 15       # until a watch that was made brief is over without its bookmark: two of 3 s
FAULT_FREE_TRIES = 3
COUNTING_RUNS = 2      # without a fault, that rest no longer than a case: they tell which points there are
# Writes a life of the controller may take beyond the fault-free run's: its start and its repeats.
EXTRA_WRITES = 20


class Failed(Exception):
    """The case did not end as it must; the text says how."""


@dataclasses.dataclass
class Expected:
    """What the fault-free run of a scenario showed."""
    start: list      # etcd's content to start from
    end: dict        # oracle.state
    end_content: list
    counts: dict     # points, by what is counted: the least that a run without faults had
    most: dict       # the same: the most; a case at one beyond the least may find no point
    writes: int
    content: tuple = None  # what its agent ran, as bytes; None: nothing that is asked for, or no agent

    def view(self, state):
        """What of a state must be the same in every case. One that begins without an authority makes its own."""
        same = etcd.holds(self.start, "secrets/sluice-system/sluice-ca")
        return state if same else oracle.without_digests(state)


def reach(lane, done, rest, seconds=CASE_SECONDS):
    """Plays everybody's part until `done(objects)` and nothing was written for `rest` seconds."""
    deadline = time.monotonic() + seconds
    objects, acted, stepped_at = [], True, 0.0
    while time.monotonic() < deadline:
        lane.tend()
        before = lane.proxy.last_write
        if acted or stepped_at <= before:  # the others act on what the controller writes
            stepped_at = time.monotonic()
            acted = lane.actor.step()
        if acted or time.monotonic() - before < QUIET_SECONDS:
            time.sleep(LOOK_SECONDS)
            continue
        objects = lane.actor.objects()
        acted = lane.actor.collect(objects)
        if acted or lane.proxy.last_write != before:
            continue
        if done(objects) and time.monotonic() - before >= rest:
            return objects
        time.sleep(8 * LOOK_SECONDS)
    raise Failed(f"not at the end after {seconds} s", objects)


def begin(lane, scenario, start, fault):
    """Brings the start state about and arms the proxy: for the first scenario before the controller
    starts, for the others when it leads and rests."""
    lane.controller.clear()
    if lane.companion:
        lane.companion.clear()
    lane.proxy.reset(fault)
    revision = lane.etcd.replace(start)
    if not scenario.starts_from:
        lane.proxy.arm(fault, revision)
    lane.controller.start()
    deadline = time.monotonic() + CASE_SECONDS
    while not lane.proxy.records and time.monotonic() < deadline:
        lane.tend()
        time.sleep(LOOK_SECONDS)
    if scenario.starts_from:
        reach(lane, lambda objects: not lags(lane, objects), rest=QUIET_SECONDS)
        lane.proxy.arm(fault, lane.etcd.revision())


def await_gap(lane):
    """Until the watch that is not given its bookmark is down, so that it misses what is done next."""
    deadline = time.monotonic() + GAP_SECONDS
    while not lane.proxy.gap.is_set() and time.monotonic() < deadline:
        lane.tend()
        lane.actor.objects()  # a list of the present lets the API server ask etcd how far it is: newer bookmarks
        time.sleep(LOOK_SECONDS)


def lags(lane, objects):
    """Why the agent of the case is not in step yet; "" if it is."""
    return lane.companion.lags(objects) if lane.companion else ""


def fault_free(lane, scenario, start, rest):
    """Runs the scenario without a fault; what it shows is expected of every case."""
    for _ in range(FAULT_FREE_TRIES):
        begin(lane, scenario, start, None)
        scenario.act(lane)
        objects = reach(lane, lambda objects: scenario.done(objects) and not lags(lane, objects), rest)
        if lane.controller.lives == 1:
            break  # else the machine was so busy that the Lease ran out: that is a fault
    else:
        raise Failed(f"{scenario.name}: the controller ended by itself without a fault", objects)
    counts = {**lane.proxy.counts, faults.WATCHES: len(lane.proxy.watched)}
    judge(lane, 0)
    writes = lane.proxy.total_writes
    content = lane.companion.content(objects) if lane.companion else None
    lane.controller.stop()
    return Expected(start, oracle.state(objects), lane.etcd.dump(), counts, counts, writes, content)


def count(lane, scenario, expected, runs):
    """Counts the points anew. What comes by a timer after a case's rest is none: no case waits for it."""
    counts = [fault_free(lane, scenario, expected.start, REST_SECONDS).counts for _ in range(runs)]
    kinds = set().union(*counts)
    expected.counts = {what: min(each.get(what, 0) for each in counts) for what in kinds}
    expected.most = {what: max(each.get(what, 0) for each in counts) for what in kinds}


def run(lane, scenario, expected, fault):
    """Raises Failed with the reason."""
    begin(lane, scenario, expected.start, fault)
    if faults.KINDS[fault.kind].counts == faults.WATCHES:
        await_gap(lane)
    scenario.act(lane)
    lane.proxy.gap.clear()
    end = expected.view(expected.end)
    try:
        objects = reach(lane, lambda objects: lane.proxy.settled()
                        and expected.view(oracle.state(objects)) == end
                        and not lags(lane, objects), REST_SECONDS)
    except Failed as failure:
        objects = failure.args[1]
        lines = oracle.difference(end, expected.view(oracle.state(objects)))
        lines += [lag] if (lag := lags(lane, objects)) else []
        raise Failed("\n".join([failure.args[0], *(lines or ["it never came to rest"])])) from None
    judge(lane, expected.writes)
    if lane.companion and (why := oracle.other_content(expected.content, lane.companion.content(objects))):
        raise Failed(why)
    lane.controller.stop()


def judge(lane, expected_writes):
    wrong = lane.companion.problems() if lane.companion else []
    if wrong:
        raise Failed("the agent and its commands:\n" + "\n".join(wrong))
    fell = oracle.orders_fell(lane.proxy.records)
    if fell:
        raise Failed("the order of the agents' configuration fell:\n" + "\n".join(fell))
    bound = (expected_writes + EXTRA_WRITES) * max(1, lane.controller.lives)
    if expected_writes and lane.proxy.total_writes > bound:
        raise Failed(f"{lane.proxy.total_writes} writes, {expected_writes} without the fault")


def points(expected, kind):
    """How many there surely are, and how many there may be."""
    what = faults.KINDS[kind].counts
    return expected.counts.get(what, 0), expected.most.get(what, 0)


def prepare(lane, names, known=None, rest=LONG_REST_SECONDS, counting=COUNTING_RUNS):
    """The fault-free runs of these scenarios, and of those they start from but the `known` ones. `counting`: 0 where
    nobody asks for the points."""
    found = dict(known or {})
    if not found:
        scenarios.before(lane)
        empty = lane.etcd.dump()

    def of(name):
        if name not in found:
            scenario = scenarios.SCENARIOS[name]
            start = of(scenario.starts_from).end_content if scenario.starts_from else empty
            found[name] = fault_free(lane, scenario, start, rest)
        return found[name]

    for name in names:
        of(name)
        if counting:
            count(lane, scenarios.SCENARIOS[name], found[name], counting)
    return found
