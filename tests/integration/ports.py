"""Ports for programs that must be told theirs before they start."""
import random
import socket

PORTS = range(10_000, 32_000)  # below those that the kernel gives to whoever asks for any
given = set()  # by this process: programs that start together must not get one port


def free_port(among=PORTS):
    """Between this look and its use, or while its program is down, nobody is given it by chance."""
    for port in random.sample(among, len(among)):
        if port in given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            given.add(port)
            return port
    raise RuntimeError("no port is free")
