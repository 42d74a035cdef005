"""A real agent beside a case's controller. It outlives kills of that, and begins anew with each case: what is put
back in etcd puts the fencing record back, too."""
import asyncio
import ctypes
import fcntl
import os
import re
import shutil
import socket
import struct
import threading

from . import agents, oracle, world

NODE = "node-0"
SITE = "phoenix"
CA = f"/api/v1/namespaces/{agents.SPACE}/configmaps/sluice-ca"
ACCOUNT = f"/api/v1/namespaces/{agents.SPACE}/serviceaccounts/sluice-agent"
SERVED = re.compile(r"agents served .*control_port=(\d+) .*enrolment_port=(\d+)")
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP_AND_RUNNING = 0x8914, 0x41
BLOCK = 1 << 16
LOG_LETTERS = 4000


class Network:
    """A network of its own, since every agent of this Site listens on one port: nothing is there but a loopback
    with two ports, which lead to the controller's wherever those are now."""

    def __init__(self):
        self.ports = (0, 0)  # of the controller that runs: control, enrolment
        self._libc = ctypes.CDLL(None)
        self._listeners = []
        maker = threading.Thread(target=self._make)  # a thread's network ends with it; its sockets stay there
        maker.start()
        maker.join()
        if not self._listeners:
            raise RuntimeError("an agent's own network could not be made; it needs root")
        self.ends = [(f"127.0.0.1:{each.getsockname()[1]}",) for each in self._listeners]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _make(self):
        if self._libc.unshare(CLONE_NEWNET):
            return
        self._inside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        ends = [socket.socket(), socket.socket()]
        fcntl.ioctl(ends[0], SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP_AND_RUNNING))
        for each in ends:
            each.bind(("127.0.0.1", 0))
            each.listen()
        self._listeners = ends

    def enter(self):
        """In a child, before its program."""
        world.die_with_us()
        if self._libc.setns(self._inside, CLONE_NEWNET):
            os._exit(1)

    def _run(self):
        async def serve():
            for at, listener in enumerate(self._listeners):
                await asyncio.start_server(lambda *ends, at=at: self._carry(at, *ends), sock=listener)

        self._loop.run_until_complete(serve())
        self._loop.run_forever()

    async def _carry(self, at, reader, writer):
        ends = [writer]
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.ports[at])
            ends.append(up_writer)
            pumps = [asyncio.ensure_future(self._pump(*each))
                     for each in ((reader, up_writer), (up_reader, writer))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:  # nobody is there
            pass
        finally:
            for each in ends:
                each.transport.abort()

    @staticmethod
    async def _pump(reader, writer):
        while block := await reader.read(BLOCK):
            writer.write(block)
            await writer.drain()

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for each in self._listeners:
            each.close()
        os.close(self._inside)


class Companion:
    """The agent of a lane. `tend` is called again and again and does what a kubelet would."""

    def __init__(self, lane):
        self._lane = lane
        self._network = Network()
        self.agent = None
        self.clear()

    def clear(self):
        """No agent is there any more, nor a trace of it."""
        if self.agent:
            self.agent.stop()
            shutil.rmtree(self.agent.folder)
        self.agent = None
        self._read = 0             # bytes of the controller's log
        self._served = 0           # lives of the controller that served agents
        self._looked = None        # the last write when it was looked for what an agent needs
        self._pod_is_there = False

    def stop(self):
        self.clear()
        self._network.stop()

    def tend(self):
        self._follow(self._lane.controller.log)
        # One that asks to enrol before the controller knows its Sites is sent away and waits.
        if self.agent is None and self._lane.proxy.records and self._can_start():
            self.agent = agents.Agent(self._lane, NODE, network=self._network)
            self._pod_is_there = True
        # What is played of pods is none of this one, so it goes when it has proved who the agent is.
        if self._pod_is_there and self.agent.enrolled():
            self._lane.must("DELETE", f"/api/v1/namespaces/{agents.SPACE}/pods/agent-{NODE}",
                            {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0})
            self._pod_is_there = False

    def _follow(self, log):
        """Leads the agent to the controller's present life, once that serves agents."""
        if (size := log.stat().st_size) == self._read:
            return
        self._read = size
        served = SERVED.findall(log.read_text(errors="replace"))
        if len(served) > self._served:
            self._served = len(served)
            self._network.ports = tuple(map(int, served[-1]))
            if self.agent:
                self.agent.hurry()

    def _can_start(self):
        """Its pod's account and authority are there; looked at when something was written since."""
        before, self._looked = self._looked, self._lane.proxy.last_write
        return before != self._looked and bool(self._lane.look(CA) and self._lane.look(ACCOUNT))

    def lags(self, objects):
        """Why the agent is not in step with what these say of its Site; "" if it is."""
        kept = self.agent.kept() if self.agent else None
        return oracle.out_of_step(objects, SITE, kept[:2] if kept else ((0, 0), "nothing"))

    def content(self, objects):
        """Configuration and credentials that it has, as bytes; None where the Site is gone."""
        if not any(each["kind"] == "Site" for each in objects):
            return None
        _, version, configuration = self.agent.kept()
        return configuration, self.agent.credentials(version)

    def problems(self):
        """What its log says against the commands that it got."""
        if self.agent is None:
            return ["no agent could be started"]
        log = self.agent.log.read_text(errors="replace")
        ended = [] if self.agent.running() else ["it ended"]
        found = ended + oracle.commands_fell(log, oracle.published(self._lane.proxy.records, SITE))
        return [*found, log[-LOG_LETTERS:]] if found else []
