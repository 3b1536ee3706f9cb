"""The contract between a node and the engine: all that a node author sees.

A node holds its own idea and nothing else. Queues, threads, clocks, counters, restarts and deadlines are the
engine's. What a node may call is on this page: ``emit``, ``self.report``, ``self.resource``, ``self.wake``,
``self.alarm`` and ``self.now``.
"""

from __future__ import annotations

import importlib.util
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar

from flowcore.errors import MissingExtra
from flowcore.events import EventType, Level, Reason
from flowcore.formats import Caps, Format

In = TypeVar("In")
Out = TypeVar("Out")
Chunk = TypeVar("Chunk", contravariant=True)
NodeClass = TypeVar("NodeClass", bound="type[Node[Any]]")


class Config(BaseModel):
    """Base of every node's config: frozen, unknown keys refused, the text under a field is its reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)


ConfigT = TypeVar("ConfigT", bound=Config, default=Config)


class Configured(Generic[ConfigT]):
    """Base of nodes and speech engines: a class that is made with a config of the class that it is generic over."""

    Config: ClassVar[type[Config]] = Config
    """The config class: the argument in ``class Gate(Transform[Audio, Audio, GateConfig])``."""
    config: ConfigT

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in vars(cls).get("__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, Config):
                    if "Config" in vars(cls):
                        raise TypeError(
                            f"{cls.__name__}.Config: declare the config before the class, and give it as "
                            f"the last argument of its base, as in Sink[Audio, {cls.__name__}Config]"
                        )
                    cls.Config = argument


class Emit(Protocol[Chunk]):
    """Hands a chunk to what comes next: a plain call of the next node, or a put into a border."""

    def __call__(self, chunk: Chunk, /) -> None: ...


class Report(Protocol):
    """Where a node says what it lost and what it made up, so that the engine's books balance."""

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        """Input that will never be emitted; ``seconds`` of one channel's audio."""

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        """Output that stood in no input, such as silence for a lost packet; ``seconds`` of one channel's audio."""

    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None:
        """Tell an operator what happened; never payload, secrets or words that were spoken.

        The node declares ``name`` and the fields of ``data`` in ``events``. ``level`` overrides the declared one.
        """


@dataclass(frozen=True)
class Extra:
    """An optional package: the module to import and the extra of flowcore that installs it."""

    module: str
    extra: str

    def check(self, purpose: str) -> None:
        """Look the module up without importing it; raise `MissingExtra` if it is not there."""
        try:
            found = importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:  # a parent of a dotted name is missing
            found = False
        if not found:
            raise MissingExtra(self.module, self.extra, purpose)


@dataclass(frozen=True)
class Session:
    """What a listener accepted, as every node of its flow sees it.

    ``flow`` is the engine's own name for the flow, safe in file names. ``started`` is local wall time, for people.
    ``attributes`` are what the peer said of the call (``call_id``, ``session_id``, ``ani``, …): never trust them.
    """

    flow: str
    started: datetime
    attributes: Mapping[str, str] = field(default_factory=dict)


class _NoReport:
    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None: ...
    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None: ...
    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None: ...


class Resource(ABC):
    """What is opened once per process and shared by flows: a loaded model, a gRPC channel, a sound device.

    Two parts that compare equal are the same part. The engine opens it before the first flow and closes it after the
    last. Both may block: they run in a thread. Flows call it from several threads at once.

    With ``--workers`` each process has its own. What they have to know of each other they ``tell``.
    """

    tell: Callable[[Any], None] = staticmethod(lambda message: None)
    """Send this part in all other workers a message made of JSON's values; from any thread, and without waiting."""
    now: Callable[[], float] = staticmethod(lambda: 0.0)
    """Monotonic seconds, as `Node.now`."""
    report: Report = _NoReport()
    """For what belongs to no flow: events, from any thread."""

    def on_control_request(self, request: Mapping[str, Any]) -> Any:
        """Somebody asks this on the control socket (see `flowcore.control.hub`): an answer made of JSON's values.

        From any thread. Raises `LookupError` for what it knows nothing of.
        """
        raise LookupError(request["ask"])

    def on_worker_message(self, worker: int, message: Any) -> None:  # noqa: B027  # most parts tell nothing
        """Worker number ``worker`` told this, in the order in which it did; in the event loop's thread."""

    def on_worker_exit(self, worker: int) -> None:  # noqa: B027
        """That worker has ended, and takes no more part."""

    @abstractmethod
    def open(self) -> None:
        """Get ready. Raises `CannotStart` or `MissingExtra`."""

    def close(self) -> None:  # noqa: B027  # most parts have nothing to close
        """Let go of everything; called once, also after a failed flow."""


class Node(Configured[ConfigT]):
    """What transforms, demuxers, sinks and listeners have in common. Inherit from one of those four."""

    name: ClassVar[str] = ""
    caps: ClassVar[tuple[Caps, ...]] = ()
    outputs: ClassVar[tuple[str, ...]] = ()
    runs: ClassVar[Literal["inline", "thread"]] = "inline"
    """``thread``: the work may block or take long, so the engine puts a border before it and calls it from a thread."""
    loss: ClassVar[Literal["forbidden", "allowed"]] = "forbidden"
    """Whether the border before it may drop by default when the node is too slow."""
    balanced: ClassVar[bool] = False
    """True: audio in + filled = audio out + dropped, in channel-seconds; checked at the end of each flow."""
    events: ClassVar[tuple[EventType, ...]] = ()
    """The events that it emits, and that its resource emits."""
    reasons: ClassVar[tuple[Reason, ...]] = ()
    """The reasons for which it drops audio or fills it in."""

    report: Report = _NoReport()
    resource: Any = None
    wake: Callable[[], None] = staticmethod(lambda: None)
    """Call it from any thread when results came in later: the engine then calls ``collect``."""
    alarm: Callable[[float], None] = staticmethod(lambda when: None)
    """Ask from any thread for one ``collect`` at this time of ``now``, or a slot later, although no chunk comes.

    It replaces what was asked for before; ``inf`` takes that back. The end of the stream does not wait for it.
    """
    now: Callable[[], float] = staticmethod(lambda: 0.0)
    """Monotonic seconds, for what depends on pace: a hold, a retry, a measured delay. Never decide order or loss by
    it, else a recorded call does not replay to the same bytes."""

    def __init__(self, config: ConfigT) -> None:
        """Keep ``config`` and set the first state. No file, network, device or model: ``check`` makes nodes too."""
        self.config = config

    @classmethod
    def accepts(cls, config: ConfigT) -> tuple[Caps, ...]:
        """The formats that it takes with this config: all of ``takes`` by default."""
        return cls.caps

    @classmethod
    def requires(cls, config: ConfigT) -> Sequence[Extra]:
        """The optional packages that this config needs."""
        return ()

    @classmethod
    def make_resource(cls, config: ConfigT) -> Resource | None:
        """The part, not yet opened, that all flows share; the engine sets it opened as ``self.resource``."""
        return None

    @classmethod
    def recover(cls, config: ConfigT, report: Report) -> None:
        """Put right what a killed process left, and tell by event ``file_repaired`` (``path``); may block.

        Called beside running flows, after a start and after a worker's death: leave alone what is still being written.
        """

    @classmethod
    def latency(cls, config: ConfigT, given: Format) -> float:
        """Seconds that it holds back what comes in, in the format ``given``, at most, as long as it keeps up."""
        return 0.0

    def open(self, session: Session) -> None:
        """Called once before the first chunk, where ``process`` is called. Raises `CannotStart`."""

    def close(self) -> None:
        """Called once after the last chunk, also after a failure of this node or another."""


class _Working(Node[ConfigT]):
    def busy(self) -> bool:
        """After ``flush``: whether results are still to come; the end waits for them, up to a deadline."""
        return False


class Transform(_Working[ConfigT], ABC, Generic[In, Out, ConfigT]):
    """One input, one output, any number of chunks out for one in."""

    @classmethod
    def gives(cls, config: ConfigT, given: Format) -> Format:
        """The format of the output for the format of the input; the same by default."""
        return given

    @classmethod
    def converts(cls, wanted: Caps) -> ConfigT | None:
        """The config with which this node would help to reach ``wanted``; None when it is no converter.

        The planner puts converters where an output and an input do not match: see `flowcore.graph.negotiate`.
        """
        return None

    @abstractmethod
    def process(self, chunk: In, emit: Emit[Out]) -> None:
        """Work on one chunk: a plain function that neither waits nor looks at a clock."""

    def collect(self, emit: Emit[Out]) -> None:
        """Emit what came in since; called after ``wake``, ``alarm`` and ``flush``, never together with ``process``."""

    def flush(self, emit: Emit[Out]) -> None:
        """The stream has ended: emit what is still held."""


class Demux(_Working[ConfigT], ABC, Generic[In, Out, ConfigT]):
    """One input, several named outputs: ``process`` gets one emit for each of ``outputs``, in that order."""

    @classmethod
    @abstractmethod
    def gives(cls, config: ConfigT, given: Format) -> tuple[Format, ...]:
        """The formats of the outputs, in their order, for the format of the input."""

    @abstractmethod
    def process(self, chunk: In, emits: Sequence[Emit[Out]]) -> None:
        """Work on one chunk."""

    def collect(self, emits: Sequence[Emit[Out]]) -> None:
        """Emit what came in since, as in `Transform`."""

    def flush(self, emits: Sequence[Emit[Out]]) -> None:
        """The stream has ended: emit what is still held."""


class Sink(_Working[ConfigT], ABC, Generic[In, ConfigT]):
    """One input, no output."""

    @abstractmethod
    def process(self, chunk: In) -> None:
        """Take one chunk."""

    def collect(self) -> None:  # most sinks ask for no alarm
        """Called after ``wake`` and ``alarm``, never together with ``process``."""

    def flush(self) -> None:
        """The stream has ended; ``close`` follows."""


class Inlet(Protocol):
    """A listener's end of one flow. All calls are made in the event loop's thread."""

    @property
    def flow(self) -> str:
        """The engine's name for the flow."""

    @property
    def report(self) -> Report:
        """Where the listener says what it lost of this session."""

    @property
    def paused(self) -> bool:
        """True while the flow asks its source to stop reading: a border whose policy is ``block`` is full."""

    @property
    def ended(self) -> bool:
        """True once the flow takes no more chunks, whoever ended it: hang up."""

    @property
    def reason(self) -> str:
        """Why the flow ended, empty before."""

    def push(self, chunk: Any, /) -> None:
        """Run one chunk through the flow. Never raises: a failing node ends its branch or its flow."""

    def end(self, reason: str) -> None:
        """No more chunks; the flow drains. Calling it again does nothing."""


class ConnectionCounter(Protocol):
    """How many connections there are of each address, in all processes of a run together."""

    def count(self, address: str) -> int:
        """Those that were added and not removed."""

    def add(self, address: str) -> None:
        """One has begun in this process."""

    def remove(self, address: str) -> None:
        """One that was added has ended."""


class Host(Protocol):
    """A listener's view of the engine."""

    @property
    def report(self) -> Report:
        """Where the listener says what it lost before a session began."""

    @property
    def draining(self) -> bool:
        """True once the process is asked to stop: take no new sessions."""

    def now(self) -> float:
        """Monotonic time in seconds."""

    async def sleep(self, seconds: float) -> None:
        """Wait on the engine's clock."""

    async def slot(self) -> None:
        """Wait for the next slot."""

    def every_slot(self, poll: Callable[[], None]) -> Callable[[], None]:
        """Call ``poll`` once a slot (20 ms by default), in the event loop's thread; returns what cancels it."""

    def listen(self, address: str, port: int) -> socket.socket:
        """A listening socket, not blocking; several processes may accept from it. Raises `CannotStart`."""

    def room(self) -> int:
        """How many new connections to accept in this slot at most: others may hold fewer."""

    @property
    def connections(self) -> ConnectionCounter:
        """Connections by address, for limits that hold over all processes."""

    @property
    def public(self) -> str:
        """The address of a proxy or tunnel in front of this process, as the user gave it; empty when there is none."""

    def resources(self) -> Sequence[Resource]:
        """The opened parts of the graph's nodes: some may be of a kind that this listener can serve."""

    def announce(self, what: str, address: str) -> None:
        """Say what listens where, as an address to paste; it is given as seen through ``public``."""

    def offer(self, what: str, address: str) -> None:
        """Say at which address people can look at something, once it listens; likewise."""

    def admit(self) -> None:
        """Raise `Refused` if a session that came now would not be let in: ask before answering a peer."""

    def accept(self, attributes: Mapping[str, str]) -> Inlet:
        """Start a flow for a session. Raises `Refused` when the process drains or is full."""


@dataclass(frozen=True)
class ListenerTools:
    """Modules that take the place of a listener's peers, and the settings that go with them.

    Settings are values of the listener's config, written as in a graph.
    """

    load_generator: str = ""
    """Module with which ``flowcore bench`` plays many peers at real-time pace: docs/decisions/0007."""

    load_generator_settings: Mapping[str, str] = field(default_factory=dict)
    """Settings with which the listener admits the load generator."""

    tunnel_settings: Mapping[str, str] = field(default_factory=dict)
    """Settings with which the listener sees a caller's own address behind a tunnel that ends on this machine."""

    stand_in: str = ""
    """Module that replaces the listener's connections in ``flowcore test``: see `flowcore.scenario.standin`."""


class Listener(Node[ConfigT], ABC, Generic[Out, ConfigT]):
    """Where flows begin: accepts sessions and pushes their chunks. The only async kind."""

    live: ClassVar[bool] = True
    """Whether sessions come at their own pace (a phone call) and cannot wait for a slow node (a file can)."""
    attributes: ClassVar[Mapping[str, str]] = {}
    """Attributes that its sessions may have, with what they mean: those that path templates may use."""

    tools: ClassVar[ListenerTools] = ListenerTools()
    """What ``flowcore bench``, ``flowcore test`` and ``flowcore run --tunnel`` need to know of this listener."""

    @classmethod
    @abstractmethod
    def gives(cls, config: ConfigT) -> Format:
        """The format of what sessions push."""

    @classmethod
    def listens(cls, config: ConfigT) -> Sequence[tuple[str, int]]:
        """The addresses and ports that ``run`` will ask `Host.listen` for, so that workers can share them."""
        return ()

    def reload(self) -> None:
        """Read anew what may have changed on disk, such as a certificate, and end nothing; while it runs.

        Raises `CannotStart` when that is no good: then all stays as it was.
        """

    @abstractmethod
    async def run(self, host: Host) -> None:
        """Accept sessions until cancelled, or return after the last one. Raises `CannotStart`."""


def node(name: str) -> Callable[[NodeClass], NodeClass]:
    """Give a node its name in graphs; the same as its file's name."""

    def mark(cls: NodeClass) -> NodeClass:
        cls.name = name
        return cls

    return mark
