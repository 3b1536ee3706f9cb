"""What TLS costs the port, beside the same without: CPU of a message and a handshake, and how soon one is answered.

    python tools/tls_cost.py [--calls 100] [--seconds 5] [--json]

The callers are a process of their own. Each sends two messages of a call's size every 20 ms; in the second half of the
time another process knocks: it connects, asks for the upgrade, and begins again. CPU is the polling thread's.

``answered`` is what the knocking one waited for the port: from each of its sends to the arrival of the answer as the
kernel stamps it (SO_TIMESTAMPNS), summed up over the round trips of a handshake. So it counts neither the client's own
work nor how late a busy machine lets it look. How late the port's own slots were is told beside it: a p99 is the
machine's where that is. Exit code: 0 when each p99 is below 100 ms, else 1.
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
BOUND = 100.0
"""Milliseconds within which 99 of 100 upgrades are to be answered."""
STAMPED = 35
"""SO_TIMESTAMPNS of Linux, which `socket` has no name for: when a segment arrived, as struct timespec."""
MESSAGE = (
    b"\x81\xfe\x01\x28" + bytes(4) + b'{"event":"Media","media":"' + b"A" * 268 + b'"}'
)  # 296 bytes, mask of zeros
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Counter:
    """A peer that only counts."""

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
    line: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if authority:
        line = ssl.create_default_context(cafile=authority).wrap_socket(line, server_hostname="localhost")
    line.sendall(UPGRADE)
    assert line.recv(4096).startswith(b"HTTP/1.1 101 ")
    return line


class Knock:
    """A connection to the port that is asked for the upgrade, and the time that it had to wait for the port."""

    def __init__(self, port: int) -> None:
        self.waited = 0.0
        """Milliseconds from what was sent to what came then, over all round trips."""
        self._line = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line.setsockopt(socket.SOL_SOCKET, STAMPED, 1)
        self._sent = 0

    def ask(self, data: bytes) -> None:
        self._sent = time.time_ns()
        self._line.sendall(data)

    def hear(self) -> bytes:
        data, ancillary, _, _ = self._line.recvmsg(65536, socket.CMSG_SPACE(16))
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        came = seconds * 10**9 + nanoseconds
        self.waited += max(0, came - self._sent) / 1e6
        self._sent = max(self._sent, came)  # what comes behind it was waited for from here on
        return data

    def close(self) -> None:
        self._line.close()


def knock(port: int, context: ssl.SSLContext | None) -> float:
    """Ask for an upgrade; returns the milliseconds that the port took to answer."""
    line = Knock(port)
    if context is None:
        line.ask(UPGRADE)
        answer = line.hear()
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
                    line.ask(goes.read())
                came.write(line.hear())
            else:
                answer = done if isinstance(done, bytes) else b""
                step = next(steps, step)
    line.close()
    assert answer.startswith(b"HTTP/1.1 101 ")
    return line.waited


def knocker(port: int, authority: str) -> None:
    """The third process: knocks until its standard input ends, and says what it had to wait."""
    context = ssl.create_default_context(cafile=authority) if authority else None
    tell("ready")
    waited = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        waited.append(knock(port, context))
    tell(json.dumps(waited))


def callers(port: int, authority: str, calls: int, seconds: float) -> None:
    """The other process: says on standard output how far it is, and at last what it saw."""
    lines = [connect(port, authority) for _ in range(calls)]
    tell("talking")
    late = talk(lines, seconds)
    tell("knocking")
    command = [sys.executable, __file__, "--knock", str(port), authority or "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as knocking:
        assert knocking.stdout is not None
        knocking.stdout.readline()  # it is ready
        late = max(late, talk(lines, seconds))
        waited = json.loads(knocking.communicate()[0])
    tell(json.dumps({"late_ms": late * 1000, "answered_ms": waited}))


def talk(lines: list[socket.socket], seconds: float) -> float:
    """Two messages on each line in each slot; returns how late that was at most, in seconds."""
    begin, late = time.monotonic(), 0.0
    for slot in range(round(seconds / SLOT)):
        due = begin + slot * SLOT
        time.sleep(max(0.0, due - time.monotonic()))
        late = max(late, time.monotonic() - due)
        for line in lines:
            line.sendall(MESSAGE + MESSAGE)
    return late


def tell(line: str) -> None:
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
    sys.exit(any(figures["answered_p99_ms"] >= BOUND for figures in found.values()))


if __name__ == "__main__":
    main()
