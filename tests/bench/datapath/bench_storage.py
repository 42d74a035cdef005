"""Cases of `limits` about bytes that are not in memory yet: cold reads, the disk tier, a start with a large
index. Each returns {"value", "target", "met", ...} and prints a line.

The origin is bench_origin.py, in its own process and held to a rate; readers discard in the kernel
(MSG_TRUNC), so that neither is the limit.
"""
import concurrent.futures
import json
import pathlib
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

from bench_servers import BUCKET, Agent, Server, request, signed_headers

HERE = pathlib.Path(__file__).resolve().parent
MIB = 1 << 20


class Origin(Server):
    name = "origin"

    def __init__(self, folder, cores, mib_per_second=0):
        super().__init__(folder, cores)
        self.rate = mib_per_second * MIB

    def command(self):
        return [sys.executable, HERE / "bench_origin.py", self.port, self.rate]


class Reader:
    """One kept connection; bodies are thrown away where they lie."""

    def __init__(self, server):
        self.server = server
        self.sock = socket.create_connection(("127.0.0.1", server.port), 60)
        self.sock.settimeout(120)
        self.room = memoryview(bytearray(MIB))

    def close(self):
        self.sock.close()

    def get(self, name, span=None):
        """(head as text, seconds to the first byte of the answer, seconds to the last)."""
        host, path = f"127.0.0.1:{self.server.port}", f"/{BUCKET}/{name}"
        head = {"Host": host, **(signed_headers("GET", host, path, *self.server.key)
                                 if self.server.key else {})}
        if span:
            head["Range"] = f"bytes={span[0]}-{span[1]}"
        text = f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n"
        begin = time.perf_counter()
        self.sock.sendall(text.encode())
        got = self.sock.recv(65536)
        first = time.perf_counter() - begin
        while b"\r\n\r\n" not in got:
            got += self.sock.recv(65536)
        answer, _, body = got.partition(b"\r\n\r\n")
        answer = answer.decode("latin-1")
        if not re.match(r"HTTP/1.1 20[06]", answer):
            raise RuntimeError(answer)
        left = int(re.search(r"(?i)\r\ncontent-length: (\d+)", answer).group(1)) - len(body)
        while left > 0:
            count = self.sock.recv_into(self.room, min(left, MIB), socket.MSG_TRUNC)
            if count == 0:
                raise RuntimeError("the connection ended in mid-body")
            left -= count
        return answer, first, time.perf_counter() - begin


def metric(agent, name):
    page = request("GET", agent.metrics, "/metrics")[2].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines()
               if line.startswith(name + "{") or line.startswith(name + " "))


def verdict(text, value, target, met, **more):
    print(f"{text} (target: {target}): {'met' if met else 'MISS'}", flush=True)
    return {"value": value, "target": target, "met": met, **more}


def cold(folder, cores, binary, rounds):
    """16 x 64 MiB, one after the other on one connection: straight from an origin held to 512 MiB/s, and
    through an agent that has just started and touched its memory."""
    origin = Origin(folder, cores, 512).start()
    walls, ratios, delays = [], [], []

    def read(server, mark):
        reader = Reader(server)
        begin = time.perf_counter()
        firsts = [reader.get(f"o{64 * MIB}-{mark}-{i}")[1] for i in range(16)]
        reader.close()
        return time.perf_counter() - begin, statistics.median(firsts)
    try:
        for number in range(rounds):
            agent = Agent(folder, cores, origin, binary, "1536Mi")
            try:
                agent.start().settle()
                straight, first = read(origin, f"s{number}")
                through, later = read(agent, f"t{number}")
            finally:
                agent.stop()
            walls.append((straight, through))
            ratios.append(through / straight)
            delays.append((later - first) * 1e6)
    finally:
        origin.stop()
    value = statistics.median(ratios)
    return verdict(
        f"cold 1 GiB, origin held to 512 MiB/s: straight {statistics.median(w[0] for w in walls):.2f} s, through the "
        f"agent {statistics.median(w[1] for w in walls):.2f} s, ratio {value:.3f} ({min(ratios):.3f} to "
        f"{max(ratios):.3f} of {rounds}); first byte {statistics.median(delays):.0f} us later",
        value, 1.05, value <= 1.05, ratios=ratios, walls=walls, first_byte_delay_us=delays)


def fio(file, bytes_, depth, seconds):
    """MiB/s of random reads of 1 MiB past the page cache."""
    done = subprocess.run(
        ["fio", "--name=disk", f"--filename={file}", "--readonly", "--rw=randread", "--bs=1m", "--direct=1",
         "--ioengine=libaio", f"--iodepth={depth}", f"--size={bytes_}", "--time_based",
         f"--runtime={seconds}", "--output-format=json"], check=True, capture_output=True, text=True,
        timeout=120)
    return json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]["read"]["bw_bytes"] / MIB


def drop_page_cache():
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
        return True
    except OSError:
        return False  # the tier reads and writes with O_DIRECT: none of it is there anyway


def fill_disk(agent, objects):
    """Reads everything, slowly enough that the tier's queue takes it, until all is on disk."""
    wanted = len(objects) * 64
    reader = Reader(agent)
    for _ in range(8):
        for name in objects:
            reader.get(name)
        if metric(agent, "sluice_agent_cache_disk_writes_total") >= 0.98 * wanted:
            break
    reader.close()


def disk(folder, cores, binary, rounds, depth=8, seconds=3.0):
    """Random 1 MiB reads of 1 GiB that lies on disk, DEPTH at a time, against fio on the tier's own file."""
    if shutil.which("fio") is None:
        return verdict("disk tier: fio is not installed", None, 0.9, False)
    origin = Origin(folder, cores, 192).start()
    agent = Agent(folder, cores, origin, binary, "64Mi", "2Gi")
    objects = [f"o{64 * MIB}-d-{i}" for i in range(16)]
    rates = []
    try:
        agent.start().settle()
        fill_disk(agent, objects)
        file = agent.folder / "disk/store.sluice"
        dropped = drop_page_cache()

        def read(end):
            reader, chance = Reader(agent), random.Random()
            while time.monotonic() < end:
                at = chance.randrange(64) * MIB
                reader.get(chance.choice(objects), (at, at + MIB - 1))
            reader.close()
        for _ in range(rounds):
            alone = fio(file, 16 * 64 * MIB, depth, seconds)
            before = metric(agent, "sluice_agent_cache_promotions_total")
            misses = metric(agent, "sluice_agent_origin_requests_total")
            spent, begin = agent.cpu_seconds(), time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(depth) as pool:
                list(pool.map(read, [begin + seconds] * depth))
            wall = time.monotonic() - begin
            promoted = metric(agent, "sluice_agent_cache_promotions_total") - before
            missed = metric(agent, "sluice_agent_origin_requests_total") - misses
            spent = (agent.cpu_seconds() - spent) / max(promoted, 1) * 1024
            rates.append((alone, promoted / wall, missed, spent))
    finally:
        agent.stop()
        origin.stop()
    ratios = [rate[1] / rate[0] for rate in rates]
    value = statistics.median(ratios)
    return verdict(
        f"disk tier, 1 MiB, {depth} at a time: fio {statistics.median(r[0] for r in rates):.0f} MiB/s, agent "
        f"{statistics.median(r[1] for r in rates):.0f} MiB/s from disk, ratio {value:.2f} ({min(ratios):.2f} to "
        f"{max(ratios):.2f} of {rounds}); {sum(r[2] for r in rates):.0f} requests to the origin meanwhile, "
        f"{statistics.median(r[3] for r in rates):.2f} s of the agent's CPU a GiB",
        value, 0.9, value >= 0.9, rates=rates, page_cache_dropped=dropped)


def start(folder, cores, binary, rounds, chunks=1_000_000):
    """From the program's start to the first answer from its cache, with `chunks` chunks on disk: once by
    what a crash leaves, then after an orderly stop. Each time also until the index holds all of them."""
    origin = Origin(folder, cores).start()
    gib = -(-chunks * 8192 // (1 << 30)) + 1
    agent = Agent(folder, cores, origin, binary, "256Mi", f"{gib}Gi")
    tool = binary.parent / "fill_store"
    seconds, cpu, whole = [], [], []
    known = 0
    try:
        subprocess.run([tool, agent.folder / "disk", str(gib << 30), str(MIB), str(chunks)], check=True,
                       timeout=600)
        for number in range(1 + rounds):
            drop_page_cache()
            begin = time.monotonic()
            agent.start()
            while True:
                reader = Reader(agent)
                answer, _, _ = reader.get(f"o4096-{(number * 7919 + 17) * 101 % chunks}")
                reader.close()
                if re.search("(?i)x-sluice-cache: (hit|revalidated)", answer):
                    break
                if time.monotonic() > begin + 300:
                    raise RuntimeError("no hit within 300 s")
            seconds.append(time.monotonic() - begin)
            cpu.append(agent.cpu_seconds())
            while (known := metric(agent, "sluice_agent_cache_recovered_chunks_total")) < chunks:
                if time.monotonic() > begin + 300:
                    raise RuntimeError(f"{known:.0f} chunks in the index after 300 s")
                time.sleep(0.1)
            whole.append(time.monotonic() - begin)
            agent.stop()
    finally:
        agent.stop()
        origin.stop()
        shutil.rmtree(agent.folder / "disk", ignore_errors=True)
    crash, *seconds = seconds
    value = statistics.median(seconds)
    worst = max(value, crash)
    return verdict(f"start with {known:.0f} chunks of 4 KiB on disk to the first hit: {value:.2f} s ({min(seconds):.2f} to "
                   f"{max(seconds):.2f} of {rounds}) after an orderly stop, {crash:.2f} s after a crash; "
                   f"{statistics.median(cpu[1:]):.1f} and {cpu[0]:.1f} s of CPU; the whole index within "
                   f"{statistics.median(whole):.1f} s", value, 1.0, worst <= 1.0 and known == chunks,
                   seconds=seconds, cpu_seconds=cpu, crash_seconds=crash, recovered=known, whole_seconds=whole)
