"""Ten to the sixth hostile inputs for each of what reads bytes from outside: only documented exceptions may come out.

    python -m tests.fuzz [--inputs 1000000] [--seed 1] [messages websocket graphs]

With atheris (a fuzzer that is led by the code it reaches) where it is installed, else with random mutations of good
inputs. An input that raises anything else is written to ``crash-…`` and ends the run with an error. `make fuzz`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

Target = Callable[[bytes], None]


def messages() -> tuple[Target, list[bytes]]:
    """`nodes.ringcx.messages.parse`, and whole conversations of such messages."""
    from flowcore import BadMessage
    from nodes.ringcx.call_sender import CallSender
    from nodes.ringcx.call_state import CallState
    from nodes.ringcx.messages import parse

    def target(data: bytes) -> None:
        with contextlib.suppress(BadMessage):
            parse(data)
        call = CallState()
        for number, encode in enumerate(data.split(b"\n")):
            try:
                call.receive(encode, number * 0.5)
            except BadMessage:
                return
            call.poll(number * 0.5)

    good = []
    for dialect in ("camel", "upper"):
        caller = CallSender({"call_id": "x", "session_id": "1", "ani": "+1"}, dialect)  # type: ignore[arg-type]
        said = [caller.connected(), caller.start(), caller.media("agent", bytes(20)), caller.stop(1, "2026-01-01")]
        good += [*said, b"\n".join(said)]
    return target, good


def websocket() -> tuple[Target, list[bytes]]:
    """`nodes.net.websocket.WebSocket.receive`: the first byte says how the rest is cut and where the upgrade ends."""
    from nodes.net.websocket import WebSocket
    from tools.load import frame

    upgrade = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )

    def target(data: bytes) -> None:
        if not data:
            return
        connection = WebSocket()
        step = 1 + data[0] % 64
        if data[0] & 0x80:
            connection.receive(upgrade)
            assert connection.accept()
        for at in range(1, len(data), step):
            connection.receive(data[at : at + step])
            if connection.request is not None and not connection.open and not connection.finished:
                connection.accept()
            connection.output()
        if data[0] & 0x40:
            connection.receive_eof()
            connection.output()

    frames = [frame(b'{"event":"Media"}'), frame(b"x" * 200), frame(b"\x03\xe8bye", opcode=8), frame(b"p", opcode=9)]
    parts = b"\x01\x80" + bytes(4) + b"\x00\x80" + bytes(4) + b"\x80\x80" + bytes(4)
    return target, [b"\xff" + b"".join(frames), b"\x8f" + parts, b"\x3f" + upgrade + frames[0], b"\x81" + frames[3]]


def graphs() -> tuple[Target, list[bytes]]:
    """`flowcore.graph.load.load_text`, with nodes of every kind."""
    from flowcore.errors import GraphError
    from flowcore.graph.load import load_text
    from tests.graph.nodes import GOOD, REGISTRY

    def target(data: bytes) -> None:
        try:
            load_text(data.decode("utf-8", "replace"), "fuzz.yaml", (), {"A": "a"}, REGISTRY)
        except GraphError as error:
            str(error)

    return target, [GOOD.encode(), *(path.read_bytes() for path in sorted((ROOT / "graphs").glob("*.yaml")))]


def doctor() -> tuple[Target, list[bytes]]:
    """`nodes.doctor`: whatever a connection says is reported and recorded, and the secret is in neither."""
    import json

    from websockets.datastructures import Headers
    from websockets.http11 import Request

    from nodes.doctor.remarks import remarks
    from nodes.doctor.report import page
    from nodes.doctor.websocket_examination import WebSocketExamination
    from nodes.ringcx.credentials import Credentials
    from nodes.ringcx.redact import Redactor

    secret = "s3cr3t-0f-all"
    credentials = Credentials(secret)
    redactor = Redactor(credentials)

    def target(data: bytes) -> None:
        path, *lines = data.split(b"\n")
        examination = WebSocketExamination(Request(path.decode("latin-1"), Headers()), "192.0.2.1", 0.0, credentials)
        kept = [redactor.path(path.decode("latin-1"))]
        for number, line in enumerate(lines):
            examination.receive(line, number * 0.5)
            kept.append(redactor.message(line))
        facts = examination.facts()
        written = json.dumps(facts) + page([facts], []) + "".join(remarks(facts))
        assert secret not in "\n".join(kept)
        assert secret not in written

    said = messages()[1]
    told = b'{"event":"Start","metadata":{"callId":"1","key":["%s"]}}' % secret.encode()
    return target, [b"/?callId=1&x=%s\n" % secret.encode() + b"\n".join([*said, told, told.replace(b"key", b"ani")])]


def grpc_doctor() -> tuple[Target, list[bytes]]:
    """`nodes.doctor` over gRPC: whatever a stream says is reported and recorded, and the secret is in neither."""
    import json

    from websockets.datastructures import Headers
    from websockets.http11 import Request

    from nodes.doctor.grpc_examination import GrpcExamination
    from nodes.doctor.redact_grpc import redact_event
    from nodes.doctor.report import page
    from nodes.ringcx.credentials import Credentials
    from nodes.ringcx.dialog_sender import METHOD, DialogSender
    from nodes.ringcx.dialog_text import to_bytes
    from nodes.ringcx.redact import Redactor

    secret = "s3cr3t-0f-all"
    credentials = Credentials(secret)
    redactor = Redactor(credentials)

    def target(data: bytes) -> None:
        examination = GrpcExamination(Request(METHOD, Headers()), "192.0.2.1", 0.0, credentials)
        for number, message in enumerate(data.split(b"\n\n")):
            examination.receive(message, number * 0.5)
            kept = redact_event(message, redactor)
            assert secret not in kept
            to_bytes(kept)
        facts = examination.facts()
        assert secret not in json.dumps(facts) + page([facts], [])

    sender = DialogSender({"call_id": "1", "ani": secret, "token": secret})
    said = [
        sender.dialog_init(),
        sender.segment_start("agent"),
        sender.media("agent", bytes(8)),
        sender.info("a", secret),
    ]
    return target, [b"\n\n".join(said)]


def recordings() -> tuple[Target, list[bytes]]:
    """`nodes.ringcx.call_recording.read`."""
    from nodes.ringcx.call_recording import VERSION, BadRecording, Closed, Message, Opened, encode, read

    def target(data: bytes) -> None:
        with contextlib.suppress(BadRecording):
            list(read(data.splitlines(keepends=True)))

    events = [Opened(VERSION, 1.5, "2026-01-02", "/", [("Host", "***")]), Message(2.5, '{"event":"Stop"}')]
    return target, [b"".join(map(encode, [*events, Closed(3.5, "peer_closed", 1000)]))]


TARGETS: dict[str, Callable[[], tuple[Target, list[bytes]]]] = {
    "messages": messages,
    "doctor": doctor,
    "grpc_doctor": grpc_doctor,
    "recordings": recordings,
    "websocket": websocket,
    "graphs": graphs,
}


def mutated(good: list[bytes], picks: random.Random) -> bytes:
    """A good input with up to eight changes: a byte, a piece doubled, moved, left out, or taken from another."""
    data = bytearray(picks.choice(good))
    for _ in range(picks.randint(1, 8)):
        at = picks.randint(0, len(data))
        end = min(len(data), at + picks.choice((1, 1, 2, 4, 16, 64)))
        match picks.randrange(5):
            case 0 if at < len(data):
                data[at] = picks.randrange(256)
            case 1:
                data[at:at] = data[at:end] * picks.choice((1, 2, 50))
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = picks.randbytes(end - at + 1)
            case _:
                other = picks.choice(good)
                begin = picks.randint(0, len(other))
                data[at:end] = other[begin : begin + picks.choice((1, 8, 40))]
    return bytes(data[:4096])


def randomly(name: str, inputs: int, seed: int) -> int:
    target, good = TARGETS[name]()
    picks = random.Random(seed)
    for number in range(inputs):
        data = mutated(good, picks)
        try:
            target(data)
        except BaseException:
            path = Path(f"crash-{name}-{seed}-{number}")
            path.write_bytes(data)
            print(f"{name}: input {number} of seed {seed} is in {path}", file=sys.stderr)
            raise
    return inputs


def led(name: str, inputs: int, seed: int) -> None:
    """In this process, which atheris ends by itself."""
    import atheris

    with atheris.instrument_imports(include=["flowcore", "nodes"]):
        target, good = TARGETS[name]()
    folder = Path("/tmp") / f"flowcore-fuzz-{name}"
    folder.mkdir(exist_ok=True)
    for number, data in enumerate(good):
        (folder / f"good-{number}").write_bytes(data)
    options = [f"-runs={inputs}", f"-seed={seed}", "-max_len=4096", "-verbosity=0", f"-artifact_prefix=crash-{name}-"]
    atheris.Setup([sys.argv[0], *options, str(folder)], target)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description="Feed hostile inputs to what reads bytes from outside.")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="all of them by default")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each target (default 1000000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="random mutations also where atheris is installed")
    parser.add_argument("--led", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.led:
        led(options.led, options.inputs, options.seed)
        return 0
    with_atheris = not options.random and importlib.util.find_spec("atheris") is not None
    failed = 0
    for name in options.targets or TARGETS:
        began = time.monotonic()
        if with_atheris:
            command = [sys.executable, "-m", "tests.fuzz", "--led", name, f"--inputs={options.inputs}"]
            failed |= subprocess.run([*command, f"--seed={options.seed}"], cwd=ROOT, check=False).returncode
        else:
            randomly(name, options.inputs, options.seed)
        how = "led by coverage" if with_atheris else "mutated at random"
        print(f"{name}: {options.inputs} inputs {how}, {time.monotonic() - began:.0f} s, exit {failed}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
