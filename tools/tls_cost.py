"""Measure the cost of TLS against plain TCP: CPU per message and per handshake, and the time to answer an upgrade.

    python tools/tls_cost.py [--calls 100] [--seconds 5] [--json]

The callers are a process of their own. Each caller sends two messages of the size of media messages every 20 ms. In the
second half of the time another process connects, asks for the upgrade, and begins again (it *knocks*). CPU is that of
the polling thread.

``answered`` is the time that a knock waited for the port: from each send to the arrival of the answer as the kernel
stamps it (SO_TIMESTAMPNS), summed over the round trips of a handshake. So it counts neither the client's own work nor
its scheduling delay. The lag of the port's own slots is printed beside it, because a busy machine delays both. Exit
code: 0 if each p99 is below 100 ms, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

import trustme

sys.path.insert(0, str(Path(__file__).parents[1]))

from flowcore.engine.sockets import listen
from nodes.net.peer import PeerConnection
from nodes.net.port import Limits, Port
from nodes.net.proxy_trust import ProxyTrust
from nodes.net.tls import Certificate

SLOT = 0.020
MAX_ANSWER_MS = 100.0
"""Milliseconds within which the port must answer 99 of 100 upgrades."""
SO_TIMESTAMPNS = 35
"""Linux' socket option, which `socket` does not name: the arrival of a segment, as struct timespec."""
MESSAGE = (
    b"\x81\xfe\x01\x28" + bytes(4) + b'{"event":"Media","media":"' + b"A" * 268 + b'"}'
)  # 296 bytes, mask of zeros
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Counter:
    """A peer that counts messages."""

    heard = 0

    def opened(self, connection: PeerConnection) -> None: ...
    def closed(self, reason: str) -> None: ...

    def wants_read(self, now: float) -> bool:
        return True

    def messages_received(self, messages: list[bytes], now: float) -> None:
        Counter.heard += len(messages)

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        Counter.heard += len(messages)


def connect(port: int, authority: str) -> socket.socket:
    connection: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if authority:
        connection = ssl.create_default_context(cafile=authority).wrap_socket(connection, server_hostname="localhost")
    connection.sendall(UPGRADE)
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
    return connection


class Knock:
    """A connection that asks for the upgrade, and the time that it waited for the port."""

    def __init__(self, port: int) -> None:
        self.waited = 0.0
        """Milliseconds from each send to the answer, over all round trips."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._sent = 0

    def send(self, data: bytes) -> None:
        self._sent = time.time_ns()
        self._socket.sendall(data)

    def receive(self) -> bytes:
        data, ancillary, _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(16))
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        came = seconds * 10**9 + nanoseconds
        self.waited += max(0, came - self._sent) / 1e6
        self._sent = max(self._sent, came)  # the wait for the next segment begins here
        return data

    def close(self) -> None:
        self._socket.close()


def knock(port: int, context: ssl.SSLContext | None) -> float:
    """Ask for an upgrade; return the milliseconds that the port took to answer."""
    line = Knock(port)
    if context is None:
        line.send(UPGRADE)
        answer = line.receive()
    else:
        came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(came, goes, server_hostname="localhost")
        steps = iter((tls.do_handshake, lambda: tls.write(UPGRADE), lambda: tls.read(4096)))
        step, answer = next(steps), b""
        while not answer:
            try:
                done = step()
            except ssl.SSLWantReadError:
                if goes.pending:
                    line.send(goes.read())
                came.write(line.receive())
            else:
                answer = done if isinstance(done, bytes) else b""
                step = next(steps, step)
    line.close()
    assert answer.startswith(b"HTTP/1.1 101 ")
    return line.waited


def knocker(port: int, authority: str) -> None:
    """Knock until standard input ends, and print the waits; runs in a process of its own."""
    context = ssl.create_default_context(cafile=authority) if authority else None
    report("ready")
    waited = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        waited.append(knock(port, context))
    report(json.dumps(waited))


def callers(port: int, authority: str, calls: int, seconds: float) -> None:
    """Call and talk, and print the progress and the lags; runs in a process of its own."""
    connections = [connect(port, authority) for _ in range(calls)]
    report("talking")
    late = talk(connections, seconds)
    report("knocking")
    command = [sys.executable, __file__, "--knock", str(port), authority or "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as knocking:
        assert knocking.stdout is not None
        knocking.stdout.readline()  # it is ready
        late = max(late, talk(connections, seconds))
        waited = json.loads(knocking.communicate()[0])
    report(json.dumps({"late_ms": late * 1000, "answered_ms": waited}))


def talk(connections: list[socket.socket], seconds: float) -> float:
    """Send two messages on each connection in each slot; return the longest lag in seconds."""
    begin, late = time.monotonic(), 0.0
    for slot in range(round(seconds / SLOT)):
        due = begin + slot * SLOT
        time.sleep(max(0.0, due - time.monotonic()))
        late = max(late, time.monotonic() - due)
        for connection in connections:
            connection.sendall(MESSAGE + MESSAGE)
    return late


def report(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def measure(calls: int, seconds: float, proxy_trust: ProxyTrust, authority: str) -> dict[str, Any]:
    port = Port({"/": lambda request, caller: Counter()}, Limits(10_000, 5.0, 1e9), proxy_trust=proxy_trust)
    number = port.listen(listen("127.0.0.1", 0))
    command = [sys.executable, __file__, "--client", str(number), authority or "-", "--calls", str(calls)]
    with subprocess.Popen([*command, "--seconds", str(seconds)], stdout=subprocess.PIPE, bufsize=0) as client:
        assert client.stdout is not None
        os.set_blocking(client.stdout.fileno(), False)
        said, spent, at, marks = b"", 0.0, time.monotonic(), {}
        late = []
        while client.poll() is None or b"}" not in said:
            before = time.thread_time()
            port.poll(time.monotonic)
            spent += time.thread_time() - before
            said += client.stdout.read() or b""
            for word in (b"talking", b"knocking"):
                if word in said and word not in marks:
                    marks[word] = (spent, Counter.heard)
            at += SLOT
            time.sleep(max(0.0, at - time.monotonic()))
            late.append(1000 * (time.monotonic() - at))
    port.close()
    (begun, first), (ended, last) = marks[b"talking"], marks[b"knocking"]
    found = json.loads(said.splitlines()[-1])
    centiles = quantiles(found["answered_ms"], n=100)
    return {
        "us_per_message": (ended - begun) / (last - first) * 1e6,
        "ms_per_connection": begun / calls * 1000,
        "answered_p50_ms": centiles[49],
        "answered_p99_ms": centiles[98],
        "knocks": len(found["answered_ms"]),
        "slots_late_p99_ms": quantiles(late, n=100)[98],
        "callers_late_ms": found["late_ms"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--client", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--knock", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.knock:
        port, authority = options.knock
        knocker(int(port), "" if authority == "-" else authority)
        return
    if options.client:
        port, authority = options.client
        callers(int(port), "" if authority == "-" else authority, options.calls, options.seconds)
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        found = {"plain": measure(options.calls, options.seconds, ProxyTrust(), "")}
        for kind in trustme.KeyType:
            authority = trustme.CA(key_type=kind)
            issued = authority.issue_cert("localhost", key_type=kind)
            authority.cert_pem.write_to_path(place / "ca.pem")
            issued.cert_chain_pems[0].write_to_path(place / "cert.pem")
            issued.private_key_pem.write_to_path(place / "key.pem")
            proxy_trust = ProxyTrust(Certificate(place / "cert.pem", place / "key.pem"))
            found[f"TLS, {kind.name}"] = measure(options.calls, options.seconds, proxy_trust, str(place / "ca.pem"))
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for name, figures in found.items():
            print(f"{name:>12}  " + "  ".join(f"{what} {value:.2f}" for what, value in figures.items()))
    sys.exit(any(figures["answered_p99_ms"] >= MAX_ANSWER_MS for figures in found.values()))


if __name__ == "__main__":
    main()
