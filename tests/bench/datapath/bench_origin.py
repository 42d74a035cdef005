#!/usr/bin/env python3
"""An origin whose bytes a second are held: GET and HEAD of any /BUCKET/oSIZE-NAME, an object of SIZE bytes,
by ranges too. Checks no signatures. `bench_origin.py PORT BYTES_PER_SECOND` (0: not held).

What it sends lies in a memory file and goes out by sendfile, so that the rate is the limit and not
Python. All connections share the rate.
"""
import hashlib
import os
import re
import socket
import sys
import threading
import time

PIECE = 256 << 10
LARGEST = 64 << 20
BURST_SECONDS = 0.005


class Rate:
    def __init__(self, bytes_per_second):
        self.bytes_per_second = bytes_per_second
        self.lock = threading.Lock()
        self.next = 0.0

    def take(self, count):
        if not self.bytes_per_second:
            return
        with self.lock:
            now = time.monotonic()
            self.next = max(self.next, now - BURST_SECONDS) + count / self.bytes_per_second
            wait = self.next - now
        if wait > 0:
            time.sleep(wait)


def heads(connection):
    """The request heads that come, one after the other."""
    held = b""
    while True:
        while b"\r\n\r\n" not in held:
            got = connection.recv(16384)
            if not got:
                return
            held += got
        head, _, held = held.partition(b"\r\n\r\n")
        yield head.decode("latin-1")


def answer(connection, head, body, rate):
    method, path = head.split(" ", 2)[:2]
    size = int(re.search(r"/o(\d+)-", path).group(1))
    first, last, status = 0, size - 1, "200 OK"
    extra = ""
    part = re.search(r"(?im)^range: bytes=(\d+)-(\d*)", head)
    if part:
        first = int(part.group(1))
        last = min(size - 1, int(part.group(2) or size - 1))
        status, extra = "206 Partial Content", f"Content-Range: bytes {first}-{last}/{size}\r\n"
    connection.sendall((
        f"HTTP/1.1 {status}\r\nETag: \"{hashlib.md5(path.encode()).hexdigest()}\"\r\n"
        f"Last-Modified: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Length: {last - first + 1}\r\n"
        f"Content-Type: application/octet-stream\r\n{extra}\r\n").encode())
    while method == "GET" and first <= last:
        count = min(PIECE, last - first + 1)
        rate.take(count)
        first += os.sendfile(connection.fileno(), body, first, count)


def serve(connection, body, rate):
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for head in heads(connection):
            answer(connection, head, body, rate)
    except (OSError, AttributeError):
        pass
    finally:
        connection.close()


def main():
    port, rate = int(sys.argv[1]), Rate(int(sys.argv[2]))
    body = os.memfd_create("body")
    for _ in range(LARGEST >> 20):
        os.write(body, os.urandom(1 << 20))
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, body, rate), daemon=True).start()


if __name__ == "__main__":
    main()
