"""Small nodes for tests of the engine, and graphs made of them without a file."""

from __future__ import annotations

from typing import Any

from flowcore import (
    ANY_AUDIO,
    Audio,
    Config,
    Demux,
    Duration,
    Emit,
    Format,
    Host,
    Listener,
    Sink,
    Transform,
    node,
)
from flowcore.diagnostics import Position
from flowcore.graph.model import Graph, GraphNode, Input, QueueConfig
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.plan import Plan
from flowcore.testing import tone

MONO = Format("audio", "s16", 8000, "mono")


class TonesConfig(Config):
    sessions: int = 1
    length: Duration = Duration("1s")
    pace: bool = False
    live: bool = True
    hold: Duration = Duration("0s")
    """A pause in the middle."""


@node("tones")
class Tones(Listener[Audio, TonesConfig]):
    """Sessions of a tone, at real-time pace or as fast as they are taken."""

    @classmethod
    def gives(cls, config: Any) -> Format:
        return MONO

    async def run(self, host: Host) -> None:
        inlets = [host.accept({"call_id": str(number)}) for number in range(self.config.sessions)]
        chunks = tone(str(self.config.length))
        for number, chunk in enumerate(chunks):
            if self.config.hold and number == len(chunks) // 2:
                await host.sleep(self.config.hold)
            for inlet in inlets:
                while inlet.paused and not inlet.ended:
                    await host.slot()
                inlet.push(chunk)
            if self.config.pace:
                await host.sleep(chunk.seconds)
        for inlet in inlets:
            inlet.end("done")


class FileTones(Tones):
    """The same, but able to wait."""

    live = False


FileTones.name = "file_tones"


@node("double")
class Double(Transform[Audio, Audio]):
    """Emits every chunk twice, the copy later by 10 s; holds one chunk until flush."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.held: Audio | None = None

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        if self.held:
            emit(self.held)
        self.held = chunk

    def flush(self, emit: Emit[Audio]) -> None:
        if self.held:
            emit(self.held)


@node("halves")
class Halves(Demux[Audio, Audio]):
    """Even chunks left, odd chunks right."""

    outputs = ("left", "right")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.count = 0

    @classmethod
    def gives(cls, config: Any, given: Format) -> tuple[Format, ...]:
        return (given, given)

    def process(self, chunk: Audio, emits: Any) -> None:
        emits[self.count % 2](chunk)
        self.count += 1


class Kept(list[Any]):
    """What a sink was given, and what happened to it."""


class KeepConfig(Config):
    fail_at: int = -1
    """Raise at this chunk; -2: at open, -3: at flush."""
    key: str = ""


class Keep(Sink[Audio, KeepConfig]):
    """Keeps all chunks where the test can see them: ``Keep.kept[flow]``."""

    caps = (ANY_AUDIO,)
    kept: dict[str, Kept] = {}

    def open(self, session: Any) -> None:
        self.mine = self.kept.setdefault(session.flow + self.config.key, Kept())
        self.mine.append("open")
        if self.config.fail_at == -2:
            raise RuntimeError("broken at open")

    def process(self, chunk: Audio) -> None:
        if len(self.mine) - 1 == self.config.fail_at:
            raise RuntimeError("broken in work")
        self.mine.append(chunk)

    def flush(self) -> None:
        if self.config.fail_at == -3:
            raise RuntimeError("broken at flush")
        self.mine.append("flush")

    def close(self) -> None:
        self.mine.append("close")


Keep.name = "keep"


class KeepInThread(Keep):
    """The same behind a border."""

    runs = "thread"


KeepInThread.name = "keep_in_thread"


class BrokenConfig(Config):
    at: int = 0


@node("broken")
class Broken(Transform[Audio, Audio, BrokenConfig]):
    """Raises at a chunk, or at flush."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.count = 0

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        if self.count == self.config.at:
            raise ValueError("broken on purpose")
        self.count += 1
        emit(chunk)

    def flush(self, emit: Emit[Audio]) -> None:
        if self.config.at == -1:
            raise ValueError("broken at flush")


class LaterConfig(Config):
    never: bool = False


@node("later")
class Later(Transform[Audio, Audio, LaterConfig]):
    """Gives every chunk back only when asked to collect after the end, one at each wake."""

    runs = "thread"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.held: list[Audio] = []
        self.flushed = False

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        self.held.append(chunk)

    def flush(self, emit: Emit[Audio]) -> None:
        self.flushed = True
        if not self.config.never:
            self.wake()

    def busy(self) -> bool:
        return bool(self.held)

    def collect(self, emit: Emit[Audio]) -> None:
        if self.flushed and self.held and not self.config.never:
            emit(self.held.pop(0))
            self.wake()


HERE = Position(1, 1)


def step(name: str, cls: Any, *inputs: str, queue: Any = None, on_error: Any = None, **config: Any) -> GraphNode:
    """One node of a graph; inputs are written as in a file."""
    ports = tuple(Input(*(entry.split(".", 1) if "." in entry else (entry, "")), HERE) for entry in inputs)
    return GraphNode(name, cls, cls.Config(**config), ports, QueueConfig(**queue) if queue else None, on_error, HERE)


def plan(*steps: GraphNode) -> Plan:
    """A plan of those nodes."""
    return compile_graph(Graph("test.yaml", "", {one.name: one for one in steps}), converters=())
