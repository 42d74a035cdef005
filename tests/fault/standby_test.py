#!/usr/bin/env python3
"""Two replicas all the time, one leading. Whoever leads is killed with -9 at every turn of a Rollout: the
warm standby goes on, and no action is missed or done twice. A leader that is frozen, or whose Lease is
deleted by hand, gets no command through to a real agent once another one leads.

SLUICE_FAULT_FORM=long kills at every turn of several Rollouts, and deletes the Lease again and again."""
import json
import signal
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from rig import LONG, LaneTest, wait_until  # noqa: E402
from sluice_fault import actor, agents, cases, oracle, pages, scenarios, world  # noqa: E402

LEASE_FLAGS = ["--lease-duration-seconds=4", "--renew-deadline-seconds=3",
               "--retry-period-seconds=1"]
NODES = [f"node-{at}" for at in range(5)]
KILLS = 100 if LONG else 5
LEAST_KILLS = 4
ROLLOUTS = 5 if LONG else 1
DELETIONS = 20 if LONG else 4
STEPS = ["0 -> 1 of 5", "1 -> 3 of 5", "3 -> 5 of 5"]
MAX_UNASKED_ENDS = 3  # of one replica that nobody deposed
TURN_SECONDS = 300


class Standby(LaneTest):
    def setUp(self):
        super().setUp()
        self.replicas = []
        self.deposed = 0  # how often the test took the lead from somebody
        self.addCleanup(lambda: [replica.stop() for replica in self.replicas])
        self.lane.tend = self.tend  # these replicas are looked after, not the lane's own
        self.addCleanup(delattr, self.lane, "tend")

    def begin(self, count=2):
        """The created world on five nodes, and that many replicas with logs of their own."""
        for replica in self.replicas:
            replica.stop()
        self.lane.proxy.reset()
        self.lane.actor = actor.Actor(self.lane)
        self.lane.etcd.replace(self.create.end_content)
        self.lane.apply(*[{"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": node, "labels": {"sluice.dev/site": "phoenix"}}} for node in NODES])
        self.replicas = []
        for name in ("first", "second")[:count]:
            ports = [f"--{what}-address=127.0.0.1:{agents.free_port()}"
                     for what in ("control", "enrolment")]
            replica = world.Controller(self.lane.kubeconfig, self.lane.folder, name,
                                       [*LEASE_FLAGS, *ports])
            replica.log.write_bytes(b"")
            replica.start()
            self.replicas.append(replica)
            wait_until(self.leader, "somebody to lead")
        self.rest("the created world")

    def tend(self):
        """Who ended is started again, as a Deployment would; the Lease is left to its time."""
        for replica in self.replicas:
            if replica.ended() is not None:
                self.assertLessEqual(replica.unasked_ends, MAX_UNASKED_ENDS + self.deposed, self.log())
                replica.start()

    def leader(self):
        lease = self.lane.look(world.LEASE)
        holder = lease["spec"].get("holderIdentity") if lease else None
        return next((each for each in self.replicas if each.identity == holder), None)

    def epoch(self):
        return max(int(data["epoch"]) for data in self.lane.proxy.records.values())

    def log(self):
        return "\n".join(replica.log.read_text()[-4000:] for replica in self.replicas)

    # A Rollout.

    def roll(self, kills, expected=None):
        """One Rollout over five nodes, to the state `expected`; the leader is killed at each of its turns,
        `kills` times at most. How often it was, and the end state."""
        self.lane.actor.make_pods()
        self.rest("the pods")
        made = len(self.lane.actor.pods.made)
        self.lane.apply(
            {"apiVersion": scenarios.SLUICE, "kind": "Release", "metadata": {"name": "agent-2"},
             "spec": {"version": "2.0.0", "image": scenarios.RELEASED}},
            {"apiVersion": scenarios.SLUICE, "kind": "Rollout", "metadata": {"name": "weekly"},
             "spec": {"releaseRef": {"name": "agent-2"}, "requestedBy": "somebody", "waves": [
                 {"name": "all", "sites": {"names": ["phoenix"]}, "stepPercent": 40,
                  "soakSeconds": 0}]}})
        seen, killed = None, 0

        def over():
            nonlocal seen, killed
            self.tend()
            self.lane.actor.step()
            status = self.lane.look("/apis/sluice.dev/v1alpha1/rollouts/weekly").get("status", {})
            turn = [(s.get("targetNodes"), s.get("updatedNodes"), s.get("readyNodes"), s.get("state"))
                    for s in status.get("sites", [])]
            leader = self.leader()
            if turn != seen and leader and leader.ended() is None:
                seen = turn
                if killed < kills:
                    killed += 1
                    leader.kill()
                    leader.wait(30)
            return status.get("outcome")

        self.assertEqual(wait_until(over, "the Rollout to end", TURN_SECONDS), "Completed")
        wait_until(lambda: self.tend() or self.leader(), "somebody to lead")
        if expected:
            self.reaches(expected, "the end state of a run without kills")
        objects = cases.reach(self.lane, scenarios.released, 1.0)
        moved = [node for _, node, image in self.lane.actor.pods.made[made:]
                 if image == scenarios.RELEASED]
        self.assertEqual(sorted(moved), NODES, "each node is moved, and once")
        self.assertEqual(self.lane.actor.pods.most_down, 1, "maxUnavailable")
        return killed, oracle.state(objects)

    def steps(self):
        """The Rollout's steps on record, whoever recorded them, in the order of time."""
        entries = [json.loads(line) for replica in self.replicas
                   for line in replica.log.read_text().splitlines() if line.startswith('{"seq"')]
        return [each["data"]["nodes"] for each in sorted(entries, key=lambda each: each["time"])
                if each["type"] == "RolloutStep"]

    def test_a_leader_killed_at_every_turn_of_a_rollout_misses_and_doubles_nothing(self):
        self.begin(count=1)
        _, expected = self.roll(kills=0)
        self.assertEqual(self.steps(), STEPS)
        for number in range(ROLLOUTS):
            with self.subTest(rollout=number):
                self.begin()
                before = self.epoch()
                killed, state = self.roll(KILLS, expected)
                self.assertGreaterEqual(killed, LEAST_KILLS, "turns were missed")
                self.assertEqual(oracle.difference(expected, state), [])
                self.assertEqual(oracle.orders_fell(self.lane.proxy.records), [])
                self.assertGreaterEqual(self.epoch(), before + killed, "each leader has its own")
                # On record twice, where it was killed between the record and the step.
                self.assertEqual(list(dict.fromkeys(self.steps())), STEPS)
                print(f"{killed} leaders killed, epoch {before} -> {self.epoch()}", flush=True)

    # A real agent.

    def agent(self):
        agent = agents.Agent(self.lane, "node-0", self.replicas)
        self.addCleanup(agent.stop)
        try:
            wait_until(agent.applied, "the agent to be configured")
        except AssertionError as error:
            self.fail(f"{error}\n{agent.log.read_text()[-4000:]}\n{self.log()}")
        # It listens to both: one that is passed over could not command it anyway.
        wait_until(self.both_hear, "a stream to each replica")
        return agent

    def both_hear(self):
        """Whether the agent has a stream to each replica."""
        try:
            return all(self.streams(each) == 1 for each in self.replicas)
        except OSError:  # one that only starts
            return False

    @staticmethod
    def streams(replica):
        return sum(float(line.split()[-1]) for line in pages.metrics(replica)
                   if line.startswith("sluice_agent_streams"))

    def change(self, number):
        """Something that agents are told."""
        verbs = [["Read"], ["Read", "List"], ["Read", "Write"], ["Read", "List", "Write"]][number % 4]
        self.lane.apply(scenarios.changed(
            scenarios.TENANT, access=[{"mount": "/datasets", "verbs": verbs}]))

    def takes_orders_in_order(self, agent):
        applied = agent.applied()
        self.assertEqual(applied, sorted(set(applied)), "never a former order after a later one")
        self.assertEqual(oracle.orders_fell(self.lane.proxy.records), [])
        self.assertTrue(agent.running())

    def test_a_frozen_leader_that_wakes_commands_no_agent(self):
        self.begin()
        agent = self.agent()
        frozen, epoch = self.leader(), self.epoch()
        other = next(each for each in self.replicas if each is not frozen)
        frozen.signal(signal.SIGSTOP)
        self.change(1)  # which the frozen one will want to tell, too
        wait_until(lambda: self.leader() is other and self.epoch() > epoch, "the other to lead")
        wait_until(lambda: agent.applied()[-1][0] > epoch, "the other's command")
        now, told = self.epoch(), len(agent.applied())
        frozen.signal(signal.SIGCONT)
        self.assertNotEqual(frozen.wait(60), 0)
        self.assertIs(self.leader(), other)
        self.assertEqual(self.epoch(), now, "it did not raise it again")
        self.assertEqual(len(agent.applied()), told)
        self.change(2)
        wait_until(lambda: len(agent.applied()) > told, "the leader's next command")
        self.takes_orders_in_order(agent)
        self.assertEqual({order[0] for order in agent.applied()[told:]}, {now})
        print(agent.tally(), flush=True)

    def two_that_believe(self):
        """The Lease is deleted and another replica takes it at once; the old leader, which slept through
        that and by its own clock still holds, wakes before its time is over."""
        old, epoch = self.leader(), self.epoch()
        old.signal(signal.SIGSTOP)
        self.lane.must("DELETE", world.LEASE)
        wait_until(lambda: self.tend() or self.leader() not in (None, old) and self.epoch() > epoch,
                   "the other to lead")
        old.signal(signal.SIGCONT)

    def test_a_lease_deleted_again_and_again_brings_no_command_out_of_order(self):
        self.begin()
        agent, first = self.agent(), self.epoch()
        for number in range(1, DELETIONS + 1):
            wait_until(lambda: self.tend() or self.leader() and self.both_hear(),
                       "one to lead and the other to stand by")
            told = len(agent.applied())
            self.deposed += 1
            if number % 2:
                self.lane.must("DELETE", world.LEASE)
            else:
                self.two_that_believe()
            self.change(number)
            wait_until(lambda told=told: self.tend() or len(agent.applied()) > told,
                       f"command {number}")
        wait_until(lambda: self.tend() or self.leader(), "somebody to lead")
        self.takes_orders_in_order(agent)
        self.assertGreaterEqual(self.epoch(), first + DELETIONS // 2, "each other leader has its own")
        print(f"{DELETIONS} Leases deleted, {agent.tally()}: {agent.applied()}", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
