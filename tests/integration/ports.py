"""Ports for programs that must be told theirs before they start."""
import random
import socket

PORTS = range(10_000, 32_000)  # below those that the kernel gives to whoever asks for any
TRIES = 1000


def free_port():
    """Between this look and its use, or while its program is down, nobody is given it by chance."""
    for port in random.sample(PORTS, TRIES):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
