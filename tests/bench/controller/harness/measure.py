"""The measurements. Every one is made of all contenders in turn, again and again, each second time in
the other order, so that whatever else the machine does, and whatever one leaves behind in the API server
for the next, falls on each alike. A figure is a list with one entry a repeat."""
import collections
import contextlib
import os
import statistics
import sys
import time

from . import process, widgets, world as worlds

WRITE_SECONDS = 600


def say(text):
    print(f"bench-controller: {text}", file=sys.stderr, flush=True)


class Bench:
    def __init__(self, plan, contenders, verbose=False):
        """`contenders`: name → process.Contender, in the order of the report."""
        self.plan = plan
        self.contenders = contenders
        self.log = None if verbose else process.subprocess.DEVNULL
        self.api_core, self.core = process.cores()
        # contender → figure → values; one table for each load, one for what needs no load.
        self.base = {name: collections.defaultdict(list) for name in contenders}
        self.loads = [{name: collections.defaultdict(list) for name in contenders}
                      for _ in plan.loads]

    def run(self, after_repeat):
        """Calls `after_repeat` whenever all contenders have as many values: a run that is cut short
        leaves what it has measured."""
        for i, load in enumerate(self.plan.loads):
            with worlds.running(self.api_core) as world:
                if i == 0:
                    self._measure_base(world)
                say(f"{load.count} objects of {load.size_bytes} bytes")
                world.seed(load.count, load.size_bytes)
                for repeat in range(self.plan.repeats):
                    for name in self._turn(repeat):
                        self._measure(world, load, name, f"{name}-{repeat}", self.loads[i][name])
                    say(f"repeat {repeat + 1} of {self.plan.repeats}")
                    after_repeat()

    def _turn(self, repeat):
        names = list(self.contenders)
        return names if repeat % 2 == 0 else names[::-1]

    def _start(self, world, name, salt, lease=""):
        return process.Controller(self.contenders[name], world.kubeconfig, self.core, salt, lease,
                                  self.log)

    # Without objects, or with a handful.

    def _measure_base(self, world):
        say("start and base memory, no objects")
        for repeat in range(self.plan.repeats * 2):
            for name in self._turn(repeat):
                figures = self.base[name]
                with self._start(world, name, "s") as controller:
                    controller.wait_ready()
                    figures["ready_seconds"].append(controller.ready_seconds)
                    figures["ready_cpu_seconds"].append(controller.ready_cpu_seconds)
                    time.sleep(0.3)
                    figures["base_bytes"].append(controller.memory_bytes()[0])
                    if not controller.stop():
                        raise RuntimeError(f"{name} did not stop well")
        if self.plan.failover:
            say("fail-over, every pair at once")
            self._measure_failover(world, 5)

    def _measure_failover(self, world, count):
        """From SIGKILL of a leader until its standby has written every status that it found wrong.
        All pairs wait for their leases at the same time; each has a salt of its own, so it has
        something to write."""
        world.seed(count, 1000)
        with contextlib.ExitStack() as stack:
            pairs = []
            for repeat in range(self.plan.repeats):
                for name in self.contenders:
                    if self.contenders[name].environment:
                        continue  # such settings are of no matter here
                    salt = f"{name}-{repeat}"
                    leader = stack.enter_context(self._start(world, name, salt, f"lease-{salt}"))
                    leader.wait_ready().wait_stats("writes", count, 60, 0.1)
                    standby = stack.enter_context(self._start(world, name, salt, f"lease-{salt}"))
                    pairs.append((name, leader, standby.wait_ready()))
            time.sleep(1)
            killed = {}
            for _, leader, standby in pairs:
                leader.process.kill()
                killed[standby.pid] = time.monotonic()
            waiting = list(pairs)
            deadline = time.monotonic() + 60
            while waiting and time.monotonic() < deadline:
                for pair in list(waiting):
                    if pair[2].stats()["writes"] >= count:
                        seconds = time.monotonic() - killed[pair[2].pid]
                        self.base[pair[0]]["failover_seconds"].append(seconds)
                        waiting.remove(pair)
                time.sleep(0.05)
            if waiting:
                raise TimeoutError(f"no fail-over of {[name for name, _, _ in waiting]}")
        world.delete_widgets()

    # With many objects.

    def _measure(self, world, load, name, salt, figures):
        """A start that writes every status, then one that finds all of them right."""
        with self._start(world, name, salt) as controller:
            controller.wait_ready()
            controller.wait_stats("writes", load.count, WRITE_SECONDS, 0.25)
            time.sleep(0.1)
            writing_cpu = controller.cpu_seconds()
            figures["bytes_after_writes"].append(self._above_base(name, load, controller)[0])
            self._check(world, salt, load)
            controller.stop()
        with self._start(world, name, salt) as controller:
            self._measure_quiet(world, load, name, controller, figures)
            writes = (writing_cpu - figures["reconciled_cpu_seconds"][-1]) / load.count
            figures["write_cpu_seconds_per_10k"].append(writes * 10_000)
            if load.rates:
                self._measure_latency(world, load, controller, figures)
            errors = controller.stats()["errors"]
            if errors or not controller.stop():
                raise RuntimeError(f"{name}: {errors} errors, or it did not stop well")

    def _measure_quiet(self, world, load, name, controller, figures):
        controller.wait_ready()
        controller.wait_stats("reconciles", load.count, WRITE_SECONDS, 0.05)
        figures["sync_seconds"].append(controller.ready_seconds)
        figures["sync_cpu_seconds"].append(controller.ready_cpu_seconds)
        figures["reconciled_cpu_seconds"].append(controller.cpu_seconds())
        writes = world.writes()
        time.sleep(self.plan.settle_seconds)
        per_object, resident, peak = self._above_base(name, load, controller)
        figures["bytes_per_object"].append(per_object)
        figures["peak_over_steady"].append(peak / resident - 1)
        self._measure_noop(load, controller, figures)
        cpu = controller.cpu_seconds()
        time.sleep(self.plan.rest_seconds)
        used = controller.cpu_seconds() - cpu
        figures["rest_cpu_share"].append(used / self.plan.rest_seconds)
        figures["writes_at_rest"].append(world.writes() - writes)

    def _above_base(self, name, load, controller):
        resident, peak = controller.memory_bytes()
        base = statistics.median(self.base[name]["base_bytes"])
        return (resident - base) / load.count, resident, peak

    def _measure_noop(self, load, controller, figures):
        """For as long as the plan says on either side: the faster one would be done with a few
        rounds before its core's clock and caches have settled."""
        done = begun = controller.stats()["reconciles"]
        rounds, seconds, took, cpu = 0, 0.0, 0.0, controller.cpu_seconds()
        while rounds < load.resyncs or seconds < self.plan.noop_seconds:
            rounds += 1
            done += load.count
            begin = time.monotonic()
            controller.resync()
            # Asking costs the one asked: not before the answer may be yes.
            time.sleep(took * 0.7)
            controller.wait_stats("reconciles", done, 120, 0.005)
            took = time.monotonic() - begin
            seconds += took
        cpu = controller.cpu_seconds() - cpu
        figures["noop_per_second"].append((done - begun) / seconds)
        figures["noop_per_cpu_second"].append((done - begun) / cpu)

    def _measure_latency(self, world, load, controller, figures):
        names = [widgets.name_of(i) for i in range(load.count)]
        first = 0
        for rate in load.rates:
            reflections = worlds.Reflections(world)
            try:
                seconds, number = world.applies()
                cpu = controller.cpu_seconds()
                stamps = worlds.mutate_at(world, names, rate, load.rate_seconds, first)
                first += len(stamps)
                answered = {}
                while len(answered) < len(stamps):
                    stamp, seen = reflections.seen.get(timeout=30)
                    if stamp in stamps:
                        answered.setdefault(stamp, (seen - stamp) / 1e6)
                cpu = controller.cpu_seconds() - cpu
            finally:
                reflections.close()
            figures[f"latencies_ms_at_{rate}"].append(sorted(answered.values()))
            figures[f"cpu_ms_per_update_at_{rate}"].append(cpu / len(stamps) * 1e3)
            served, applies = world.applies()
            figures[f"server_apply_ms_at_{rate}"].append(
                (served - seconds) / (applies - number) * 1e3)

    @staticmethod
    def _check(world, salt, load):
        """What a controller wrote is right: a benchmark of wrong answers would mean nothing."""
        every = max(1, load.count // 20)
        for i in range(0, load.count, every):
            widget = world.widget(i)
            wanted = {"observed": widgets.observed(salt, widget["spec"]),
                      "observedGeneration": widget["metadata"]["generation"]}
            if widget.get("status") != wanted:
                raise RuntimeError(f"{salt}: status {widget.get('status')}, not {wanted}")


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "kernel": os.uname().release}
