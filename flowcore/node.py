"""The contract between a node and the engine.

The engine owns queues, threads, clocks, counters, restarts and deadlines. A node may call ``emit``, ``self.report``,
``self.resource``, ``self.wake``, ``self.alarm``, ``self.now`` and ``self.audio_end``.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar

from flowcore.errors import MissingExtra
from flowcore.events import EventType, Reason
from flowcore.formats import Caps, Format
from flowcore.live import LiveChange
from flowcore.losses import Gap, Loss
from flowcore.metrics import Metric
from flowcore.report import NoReport, Report
from flowcore.resource import Resource

In = TypeVar("In")
Out = TypeVar("Out")
Chunk = TypeVar("Chunk", contravariant=True)
NodeClass = TypeVar("NodeClass", bound="type[Node[Any]]")


class Config(BaseModel):
    """Base of every node's config: frozen, without unknown keys. The text under a field is its reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)


ConfigT = TypeVar("ConfigT", bound=Config, default=Config)


class Configured(Generic[ConfigT]):
    """Base of nodes and speech engines, which are generic over the class of their config."""

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
    """Passes a chunk on: a plain call of the next node, or a put into a border."""

    def __call__(self, chunk: Chunk, /) -> None: ...


@dataclass(frozen=True)
class Extra:
    """An optional package: the module to import and the extra of flowcore that installs it."""

    module: str
    extra: str

    def check(self, purpose: str) -> None:
        """Look the module up without importing it. Raises `MissingExtra`."""
        try:
            found = importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:  # a parent of a dotted name is missing
            found = False
        if not found:
            raise MissingExtra(self.module, self.extra, purpose)


@dataclass(frozen=True)
class Session:
    """An accepted session, as every node of its flow sees it.

    ``flow`` is the engine's name for the flow, safe in file names. ``started`` is local wall time, for people.
    ``attributes`` come from the peer (``call_id``, ``session_id``, ``ani``, …), and ``ids`` are the values of those by
    which people ask for the call: never trust them.
    """

    flow: str
    started: datetime
    attributes: Mapping[str, str] = field(default_factory=dict)
    ids: tuple[str, ...] = ()


class Node(Configured[ConfigT]):
    """Base of `Transform`, `Demux`, `Sink` and `flowcore.listener.Listener`; a node inherits from one of these four."""

    name: ClassVar[str] = ""
    caps: ClassVar[tuple[Caps, ...]] = ()
    outputs: ClassVar[tuple[str, ...]] = ()
    runs: ClassVar[Literal["inline", "thread"]] = "inline"
    """``thread``: the work may block; the engine puts a border before the node and calls the node in a thread."""
    loss: ClassVar[Literal["forbidden", "allowed"]] = "forbidden"
    """``allowed``: by default the border before the node drops audio when the node is too slow."""
    balanced: ClassVar[bool] = False
    """True: audio in + filled = audio out + dropped, in channel-seconds; checked at the end of each flow."""
    waits: ClassVar[str] = ""
    """The config field, a `Duration`, that says how long the node waits for a party that is behind. ``check`` refuses
    one that is shorter than the `latency` of the nodes of audio before it."""
    events: ClassVar[tuple[EventType, ...]] = ()
    """The events of the node and of its resource."""
    reasons: ClassVar[tuple[Reason, ...]] = ()
    """The reasons for which the node drops audio or fills it in."""
    metrics: ClassVar[tuple[Metric, ...]] = ()
    """The metrics that the node's resource, or the listener itself, measures; the engine has others of every node."""

    report: Report = NoReport()
    resource: Any = None
    wake: Callable[[], None] = staticmethod(lambda: None)
    """Ask for one ``collect``, because results came in. From any thread."""
    alarm: Callable[[float], None] = staticmethod(lambda when: None)
    """Ask for one ``collect`` at a time of ``now``, or a slot later, without a chunk. From any thread.

    A call replaces the time of the call before; ``inf`` cancels it. The end of the stream does not wait for an alarm.
    """
    now: Callable[[], float] = staticmethod(lambda: 0.0)
    """Monotonic seconds, for decisions that depend on pace: a hold, a retry, a measured delay. Order and loss must not
    depend on ``now``, or a recorded call does not replay to the same bytes."""
    audio_end: Callable[[], float] = staticmethod(lambda: 0.0)
    """Seconds on the flow's clock at which the audio ends of which text was made so far: for sinks of text, which learn
    nothing of the silence after the last words. At ``flush``, the length of the call."""

    source_waits: Callable[[], bool] = staticmethod(lambda: False)
    """Whether the flow comes from a source that can wait, such as a file, and the process does not stop: then nothing
    needs to be left out for lack of time. From any thread."""

    losses: Callable[[], Sequence[Loss]] = staticmethod(lambda: ())
    """Return what was lost in the flow up to here: in this node, and on the way to it from the listener.

    Complete in ``flush``, where the input has ended. Behind a `Demux` that splits tracks, gaps of other tracks are
    left out."""

    silenced: Callable[[], Sequence[Gap]] = staticmethod(lambda: ())
    """Return the stretches of the flow that are silent because an operator paused the call or muted a party, in order.

    Where the listener gives packets, the stretches are those of their arrival. Behind a `Demux` that splits tracks,
    those of other tracks are left out. From any thread."""

    changes: Callable[[], Sequence[LiveChange]] = staticmethod(lambda: ())
    """Return the changes of live fields (`on_config`) in this node, and on the way to it, so far. From any thread."""

    silent: Callable[[], frozenset[str]] = staticmethod(lambda: frozenset())
    """Return the parties that an operator silences now; the empty name stands for all. Each change is followed by a
    `collect`. From any thread."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.waits and cls.waits not in cls.Config.model_fields:
            raise TypeError(f'{cls.__name__}.waits: its config has no field "{cls.waits}"')

    def __init__(self, config: ConfigT) -> None:
        """Keep ``config`` and set the first state. Open no file, device or model: ``check`` makes nodes too."""
        self.config = config

    @classmethod
    def accepts(cls, config: ConfigT) -> tuple[Caps, ...]:
        """Return the formats that the node takes with this config: all of ``caps`` by default."""
        return cls.caps

    @classmethod
    def requires(cls, config: ConfigT) -> Sequence[Extra]:
        """Return the optional packages that this config needs."""
        return ()

    @classmethod
    def make_resource(cls, config: ConfigT) -> Resource | None:
        """Return the resource that all flows share, not yet opened; the engine opens it and sets ``self.resource``."""
        return None

    @classmethod
    def recover(cls, config: ConfigT, report: Report) -> None:
        """Complete the files that a killed process left, and emit ``file_repaired`` for each. May block.

        Called beside running flows, after a start and after a worker's death: leave files alone that are being written.
        """

    @classmethod
    def obstacle(cls, config: ConfigT) -> str:
        """Return the reason why the node could not do its work for a new flow, such as ``disk_full``; or nothing.

        Asked by load balancers, from a thread beside the flows: it may block.
        """
        return ""

    @classmethod
    def room(cls, config: ConfigT) -> Mapping[str, float]:
        """Return how many flows the node could do its work for, live ones included, by what is used up then: ``disk``.

        Asked for the metric "calls until full", from a thread beside the flows: it may block.
        """
        return {}

    @classmethod
    def latency(cls, config: ConfigT, given: Format) -> float:
        """Return the longest delay in seconds of input in the format ``given``, while the node keeps up."""
        return 0.0

    @classmethod
    def typical_latency(cls, config: ConfigT, given: Format) -> float:
        """Return the usual delay in seconds: nothing is lost or late, and no party waits for another."""
        return cls.latency(config, given)

    def open(self, session: Session) -> None:
        """Get ready for the first chunk; called once, in the thread of ``process``. Raises `CannotStart`."""

    def on_config(self, config: ConfigT) -> None:
        """Take another config, which differs from ``self.config`` in live fields only (`flowcore.live.Live`).

        Called between two chunks, in the thread of ``process``, once the node is open. By default ``self.config`` is
        replaced: enough for a node that reads its fields in ``process``.
        """
        self.config = config

    def close(self) -> None:
        """Close everything; called once after the last chunk, also after a failure of this node or another."""


class _Working(Node[ConfigT]):
    def busy(self) -> bool:
        """Return whether results are still to come after ``flush``. From any thread.

        The end of the flow waits for them, up to a deadline; as long as it takes where `source_waits`.
        """
        return False

    def awaits_results(self) -> bool:
        """Return whether a thread or process of the node works on a result now. From any thread, once it is open.

        On the virtual clock of ``flowcore replay`` time stands still meanwhile, so that all runs are the same.
        """
        return False


class Transform(_Working[ConfigT], ABC, Generic[In, Out, ConfigT]):
    """One input, one output, any number of chunks out for one in."""

    @classmethod
    def gives(cls, config: ConfigT, given: Format) -> Format:
        """Return the format of the output for the format of the input: the same by default."""
        return given

    @classmethod
    def converts(cls, wanted: Caps) -> ConfigT | None:
        """Return the config with which this node helps to reach ``wanted``; None when the node is no converter.

        The planner puts converters where an output and an input do not match: see `flowcore.graph.negotiate`.
        """
        return None

    @abstractmethod
    def process(self, chunk: In, emit: Emit[Out]) -> None:
        """Process one chunk, without waiting and without a clock."""

    def collect(self, emit: Emit[Out]) -> None:
        """Emit new results; called after ``wake``, ``alarm`` and ``flush``, never during ``process``."""

    def flush(self, emit: Emit[Out]) -> None:
        """Emit all held output; the stream has ended."""


class Demux(_Working[ConfigT], ABC, Generic[In, Out, ConfigT]):
    """One input, several named outputs: ``process`` gets one emit for each of ``outputs``, in that order."""

    splits_tracks: ClassVar[bool] = False
    """True: each output has the audio of the track of its name only; `Node.losses` behind it are of that track."""

    @classmethod
    @abstractmethod
    def gives(cls, config: ConfigT, given: Format) -> tuple[Format, ...]:
        """Return the formats of the outputs, in their order, for the format of the input."""

    @abstractmethod
    def process(self, chunk: In, emits: Sequence[Emit[Out]]) -> None:
        """Process one chunk."""

    def collect(self, emits: Sequence[Emit[Out]]) -> None:
        """Emit new results, as `Transform.collect` does."""

    def flush(self, emits: Sequence[Emit[Out]]) -> None:
        """Emit all held output; the stream has ended."""


class Sink(_Working[ConfigT], ABC, Generic[In, ConfigT]):
    """One input, no output."""

    @abstractmethod
    def process(self, chunk: In) -> None:
        """Process one chunk."""

    def collect(self) -> None:
        """Take new results; called after ``wake``, ``alarm`` and ``flush``, never during ``process``."""

    def flush(self) -> None:
        """Finish the output; the stream has ended, and ``close`` follows."""


def node(name: str) -> Callable[[NodeClass], NodeClass]:
    """Give a node its name in graphs, which is the name of its file."""

    def mark(cls: NodeClass) -> NodeClass:
        cls.name = name
        return cls

    return mark
