"""A live engine whose calls are captured, over either transport, and what a capture holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.testing import run_plan
from nodes.ringcx.call_recording import Record, read
from tests.support.live import Live, until
from tests.support.phone import Phone
from tests.support.phone_grpc import GrpcPhone, over_grpc

GRAPH = """
flowcore: 1
nodes:
  call: {{use: ringcx_recording, with: {{path: "{recording}", speed: 0}}}}
  ordered: {{use: reorder, from: call, with: {{window: 120ms, chunk: 200ms, hold: fill}}}}
  voices: {{use: decode_mulaw, from: ordered}}
  wav: {{use: wav_file, from: voices, with: {{path: "{folder}/{{call_id}}.wav"}}}}
"""


def played(recording: Path, folder: Path) -> tuple[Any, Any]:
    """The run of a capture on a virtual clock, and its WAV file."""
    result = run_plan(compile_graph(load_text(GRAPH.format(recording=recording, folder=folder))))
    return result, next(iter(folder.glob("*.wav")), None)


def records(path: Path) -> list[Record]:
    with path.open("rb") as file:
        return list(read(file))


class Calls:
    """A live engine whose captures and recordings go to a folder; ``capture`` are settings of the captures."""

    def __init__(self, folder: Path, transport: str, **capture: str) -> None:
        self.folder, self.transport = folder, transport
        graph = over_grpc(folder, "record") if transport == "grpc" else "record"
        values = {"path": f"{folder}/captures/{{call_id}}.capture", "min_free": "0B", **capture}
        settings = [f"call.capture.{name}={value}" for name, value in values.items()]
        self.live = Live(graph, [f"wav.path={folder}/wav/{{call_id}}.wav", "ordered.hold=fill", *settings])

    def __enter__(self) -> Calls:
        self.live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.live.__exit__(*error)

    def phone(self, call: str, **attributes: str) -> Phone | GrpcPhone:
        kind = GrpcPhone if self.transport == "grpc" else Phone
        phone = kind(self.live.url, call, **attributes)
        phone.start()
        return phone

    def hang_up(self, phone: Phone | GrpcPhone, call: str) -> None:
        """End a call, and wait for its recording."""
        if isinstance(phone, Phone):
            phone.stop()
        phone.hang_up()
        until(self.wav(call).exists)

    def wav(self, call: str) -> Path:
        return self.folder / "wav" / f"{call}.wav"

    def ask(self, **request: object) -> Any:
        """The answer of this process to a request of ``flowcore capture``."""
        (captures,) = [one for one in self.live.engine.resources() if type(one).__name__ == "Captures"]
        return captures.on_control_request({"ask": "capture", **request})

    def running(self, call: str) -> bool:
        return any(flow.call_id == call for flow in tuple(self.live.engine.flows.values()))

    def captures(self) -> list[Path]:
        return sorted((self.folder / "captures").glob("*"))
