"""One node of a running flow, and the hops that lead into it.

A hop hands a chunk to the node by a plain call and counts it. Every chunk passes here, so a call less is worth a line
more: a hop is one small object and its ``put`` a bound method. A closure would scatter over half a dozen cells, which
hundreds of flows push out of the processor's cache, and the interpreter specialises calls of a function that it has
seen before, which a closure made for each flow never is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from time import perf_counter
from types import FrameType
from typing import Any, Final, Protocol

from flowcore.engine.alarms import Alarm, Alarms
from flowcore.engine.gaps import Gaps
from flowcore.engine.stats import NodeStats, Sampler, Tally, unbalanced
from flowcore.errors import NodeFailed
from flowcore.events import Level
from flowcore.graph.plan import PlanNode
from flowcore.listener import Listener
from flowcore.live import LiveChange
from flowcore.losses import Gap, Loss
from flowcore.node import Config, Demux, Session, Sink

Put = Callable[[Any], None]
Target = tuple[Put, "Tally | Hop"]
"""The function that takes a chunk from an output, and the counter of what it took."""

_PROBES_LOCK = threading.Lock()
"""One for all nodes: probes change hardly ever."""

RESTART_DELAY = 0.5
"""Seconds before the first restart of a failed node; doubled each time, up to ``MAX_RESTART_DELAY``."""
MAX_RESTART_DELAY = 30.0

FAILED: Final = "node_failed"
"""Drop reason of chunks that a failed node did not take, or took and never gave out."""

PAYLOAD = {"packets": attrgetter("data"), "audio": attrgetter("samples"), "text": attrgetter("words")}
"""The sized part of a chunk: a byte of a packet is a sample, and text has no length in time."""


class FlowContext(Protocol):
    """A flow, as its chains and nodes see it."""

    id: str
    session: Session
    resources: dict[str, Any]
    sampler: Sampler
    alarms: Alarms
    gaps: Gaps

    def now(self) -> float:
        """Monotonic seconds."""

    def audio_end(self) -> float:
        """Seconds on the flow's clock: see `flowcore.node.Node.audio_end`."""

    def event(self, name: str, node: str, *, level: Level | None = None, **data: Any) -> None:
        """Put an event on the bus."""

    def source_waits(self) -> bool:
        """See `flowcore.node.Node.source_waits`."""

    def losses_until(self, node: str) -> Sequence[Loss]:
        """Return what was lost by a node, or on the way to it. From any thread."""

    def changes_until(self, node: str) -> Sequence[LiveChange]:
        """Return the changes of live fields in a node, and on the way to it. From any thread."""

    def silent_until(self, node: str) -> frozenset[str]:
        """Return the parties that are silent now of the audio that comes to a node. From any thread."""

    def silenced_until(self, node: str) -> Sequence[Gap]:
        """Return the silenced stretches of the audio that comes to a node. From any thread."""

    def node_failed(self, run: NodeRun, error: NodeFailed) -> None:
        """Decide what else ends, now that a node raised and was cut out."""

    def chain_finished(self) -> None:
        """Take note that all nodes of a chain are flushed and closed. From any thread."""

    def push_to(self, put: Put) -> None:
        """Let the listener push into ``put`` from now on. In the event loop's thread."""


class WorkObserver(Protocol):
    """Is told when a node works: see `NodeRun.observe`. Called by the thread that works."""

    def now(self) -> float:
        """Return the time."""

    def worked(self, run: NodeRun, what: str, began: float, chunk: Any) -> None:
        """Take note of a piece of work that has just ended: a ``chunk`` that was processed, or None."""


class ChainContext(Protocol):
    """A chain, as its nodes see it."""

    inner: float
    """Seconds spent in the nodes called by the node being timed."""
    given_up: bool

    def wake(self) -> None:
        """Collect results soon. From any thread."""


@dataclass(slots=True, eq=False)
class NodeRun:
    """One running node of one flow: the node, its counters and probes, and its failure and restart."""

    plan: PlanNode
    owner: FlowContext
    chain: ChainContext
    stats: NodeStats = field(default_factory=NodeStats)
    failed: NodeFailed | None = None
    node: Any = None
    work: Callable[..., None] = field(init=False)
    emits: list[Put] = field(default_factory=list)
    _inlets: list[Hop] = field(default_factory=list)
    _outlets: list[Tally | Hop] = field(default_factory=list)
    _probes: tuple[tuple[int, Put], ...] = ()  # asked for, from any thread
    _active_probes: tuple[tuple[int, Put], ...] = ()  # in place
    _bare_emits: tuple[Put, ...] = ()  # ``emits`` as they were before the first probe
    _config: Config | None = None  # asked for last; the node may still have the one of ``plan``
    _observer: WorkObserver | None = None  # asked for, from any thread
    _active_observer: WorkObserver | None = None  # in place
    _restarts: int = 0
    _restart_at: float = float("inf")

    def __post_init__(self) -> None:
        self.work = self.discard

    def make(self) -> None:
        """Create the node, once the whole flow exists and can handle a failure. A listener is created by the engine."""
        if not issubclass(self.plan.cls, Listener):
            self._guard(self._make)

    def _make(self) -> None:
        self.node = node = self.plan.cls(self.plan.config)
        node.report = self
        node.resource = self.owner.resources.get(self.plan.name)
        node.wake = self.chain.wake
        node.alarm = Alarm(self.owner.alarms, self.chain.wake)
        node.now = self.owner.now
        node.source_waits = self.owner.source_waits
        node.losses = partial(self.owner.losses_until, self.plan.name)
        node.changes = partial(self.owner.changes_until, self.plan.name)
        node.silent = partial(self.owner.silent_until, self.plan.name)
        node.silenced = partial(self.owner.silenced_until, self.plan.name)
        node.audio_end = self.owner.audio_end

    # The node's report: see flowcore.report.Report.

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        self.stats.dropped.count(reason, chunks, seconds)

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        self.stats.filled.count(reason, chunks, seconds)

    def gap(self, reason: str, track: str, start: float, end: float) -> None:
        self.owner.gaps.add(self.plan.name, reason, Gap(track, start, end, end - start))

    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None:
        self.owner.event(name, self.plan.name, level=level, **data)

    # Called by the chain.

    def open(self) -> None:
        """Open the node, and connect it to its hops."""
        self._place_probes()
        self._active_observer = self._observer
        if self.node is not None and not self.failed:
            self._guard(lambda: self.node.open(self.owner.session))
            self._connect()

    def _connect(self) -> None:
        if self.node is not None and not self.failed:
            work = self._probed_work if self._active_probes and not self.emits else self.node.process
            observer = self._active_observer
            self.work = work if observer is None else partial(self._observed, observer, "process", work)

    # Another config.

    @property
    def config(self) -> Config:
        """The config that the node has, or will have at the end of the slot. In the event loop's thread."""
        return self._config or self.plan.config

    def change_config(self, config: Config) -> None:
        """Give the node another config at the end of the slot: in its thread, and between two chunks.

        In the event loop's thread.
        """
        self._config = config
        self.chain.wake()

    def _take_config(self) -> None:
        config = self._config
        if config is None or config is self.plan.config:
            return
        self.plan = replace(self.plan, config=config)  # also for a restart of the node
        if self.node is not None and not self.failed:
            self._guard(lambda: self.node.on_config(config))

    # Probes.

    def add_probe(self, port: int, probe: Put) -> None:
        """Call ``probe`` with each chunk that leaves the node at output ``port``, or that a sink takes.

        The probe takes its place at the end of a slot, in the chain's thread and between two chunks, and stays there
        when the node is restarted. It is called in that thread, before the chunk goes on, and must neither raise nor
        block. From any thread.
        """
        with _PROBES_LOCK:
            self._probes = (*self._probes, (port, probe))
        self.chain.wake()

    def remove_probe(self, port: int, probe: Put) -> None:
        """Take away what `add_probe` placed, at the end of a slot. From any thread."""
        with _PROBES_LOCK:
            self._probes = tuple(other for other in self._probes if other != (port, probe))
        self.chain.wake()

    def has_probe(self, port: int, probe: Put) -> bool:
        """Whether the probe is in its place."""
        return (port, probe) in self._active_probes

    def _place_probes(self) -> None:
        """Put the probes that are asked for, and no others, in the chunks' way."""
        probes = self._probes
        if probes is self._active_probes:
            return
        self._active_probes = probes
        self._bare_emits = self._bare_emits or tuple(self.emits)
        for port, put in enumerate(self._bare_emits):
            self.emits[port] = _tee([*(probe for at, probe in probes if at == port), put])
        if issubclass(self.plan.cls, Listener):
            self.owner.push_to(self.emits[0])
        elif self.emits and not issubclass(self.plan.cls, Demux):  # a Demux is given the list itself
            for hop in self._inlets:
                hop.emit = self.emits[0]

    def _probed_work(self, chunk: Any) -> None:
        for _, probe in self._active_probes:
            probe(chunk)
        self.node.process(chunk)

    # Observation of the node's work.

    def observe(self, observer: WorkObserver | None) -> None:
        """Tell the observer of each piece of work from the end of a slot on, or none any more. From any thread.

        It costs nothing while there is none, as with probes.
        """
        self._observer = observer
        self.chain.wake()

    def _observed(self, observer: WorkObserver, what: str, work: Callable[..., Any], chunk: Any, *emits: Any) -> None:
        began = observer.now()
        try:
            work(chunk, *emits)
        finally:
            observer.worked(self, what, began, chunk)

    def _do(self, what: str, work: Callable[..., Any]) -> None:
        """Flush the node or collect its results."""
        observer = self._active_observer
        if observer is None:
            self._guard(lambda: work(*self._outputs()))
        else:
            self._guard(lambda: self._observed(observer, what, lambda chunk: work(*self._outputs()), None))

    # The end of the node's work.

    def flush(self) -> None:
        """Flush the node: its input has ended."""
        if self.node is not None and not self.failed:
            self._do("flush", self.node.flush)

    def collect(self) -> None:
        """Take results that came in since; before, place probes and take a config that were asked for."""
        if self._active_probes is not self._probes or self._active_observer is not self._observer:
            self._place_probes()
            self._active_observer = self._observer
            self._connect()
        self._take_config()
        if self.node is not None and not self.failed:
            self._do("collect", self.node.collect)

    def busy(self) -> bool:
        """Whether the node has results pending."""
        return self.node is not None and not self.failed and bool(self._guard(self.node.busy))

    def awaits_results(self) -> bool:
        """Whether a thread or process of the node works on a result now."""
        return self.node is not None and not self.failed and bool(self._guard(self.node.awaits_results))

    def close(self) -> None:
        """Close the node, failed or not."""
        if self.node is not None:
            self._guard(self.node.close)
            self.node.alarm.end()
        self.settle_failure()
        self.work = self.discard

    def settle_failure(self) -> None:
        """Count what a failed node held, or nothing if it is counted already."""
        if self.failed:
            self.write_off(FAILED)

    def write_off(self, reason: str) -> None:
        """Count audio that a balanced node took in and never gave out as dropped."""
        taken, given = self._balance()
        if self.plan.cls.balanced and taken > given:
            self.stats.dropped.count(reason, 0, taken - given)

    def _guard(self, call: Callable[[], Any]) -> Any:
        """Return the result of ``call``; None when it raised, which fails the node."""
        try:
            return call()
        except BaseException as error:
            self.fail(error)

    def fail(self, cause: BaseException) -> None:
        """Cut the node out: from now on its input is dropped and counted.

        Any exception of a node does so, hence the broad catches here and in `Hop`: a library that asks the process to
        exit, or a panic in Rust, must not end the other calls.
        """
        if isinstance(cause, KeyboardInterrupt):  # the user ends the process; the node is not to blame
            raise cause
        if self.failed:
            return
        self.failed = NodeFailed(self.owner.id, self.plan.name, cause)
        self.work = self.discard
        if self.plan.on_error == "restart":
            delay = min(RESTART_DELAY * 2**self._restarts, MAX_RESTART_DELAY)
            self._restarts += 1
            self._restart_at = self.owner.now() + delay
        self.owner.node_failed(self, self.failed)

    def discard(self, chunk: Any, *emits: Any) -> None:
        if self.failed and self.owner.now() >= self._restart_at:
            self._restart_at = float("inf")
            self.close()
            self.node, self.failed = None, None
            self._guard(self._make)
            self.open()
            self.work(chunk, *emits)
            return
        self._drop(FAILED if self.failed else "node_closed", chunk)

    def fail_on(self, chunk: Any, cause: BaseException) -> None:
        """Fail the node, which raised on ``chunk``. A balanced node may have given out part of it: see `write_off`."""
        self.fail(cause)
        if self.plan.cls.balanced:
            self.stats.dropped.count(FAILED, 1, 0.0)
        else:
            self._drop(FAILED, chunk)

    def _drop(self, reason: str, chunk: Any) -> None:
        self.stats.dropped.count(reason, 1, chunk.seconds * self.plan.channels_in)
        self.owner.gaps.add_chunk(self.plan.name, reason, chunk)

    def audio_end(self) -> float:
        """Return the second at which the audio ends of which the node made text so far; 0 for all other nodes."""
        return max((hop.audio_end for hop in self._inlets), default=0.0)

    def hop(self) -> Hop:
        """Add an inlet to this node."""
        hop = Hop(self, *self._outputs())
        self._inlets.append(hop)
        return hop

    def _outputs(self) -> tuple[Any, ...]:
        """Return the node's emit arguments: none for a sink, the list of emits for a demuxer, else the one emit."""
        cls = self.plan.cls
        return () if issubclass(cls, Sink) else (self.emits,) if issubclass(cls, Demux) else (self.emits[0],)

    def timed(self, *work: Any) -> None:
        """Call the node and count its own time, without the time of the nodes that it calls."""
        chain = self.chain
        outer, chain.inner = chain.inner, 0.0
        began = perf_counter()
        try:
            self.work(*work)
        finally:
            took = perf_counter() - began
            self.stats.own += (took - chain.inner) * self.owner.sampler.every
            chain.inner = outer + took

    def add_output(self, targets: Sequence[Target]) -> None:
        """Connect one output port to its targets, of which there may be none."""
        targets = targets or [counted(no_op)]
        self._outlets.append(targets[0][1])
        self.emits.append(_tee([put for put, _ in targets]))

    def settle(self) -> NodeStats:
        """Bring the counters up to date and return them."""
        self.stats.arrived, self.stats.left = _sum(self._inlets), _sum(self._outlets)
        return self.stats

    def add_to(self, stats: NodeStats, entered: Tally | None) -> None:
        """Add the up-to-date counters to ``stats``, in seconds of streams; ``entered`` is what came to its border.

        From any thread: `settle` would race with the engine's. A scrape does this for each node of each call, so it
        copies nothing.
        """
        plan, mine = self.plan, self.stats
        for taken in tuple(self._inlets) if entered is None else (entered,):
            stats.arrived.add(taken.chunks, taken.seconds)
        for given in tuple(self._outlets):
            stats.left.add(given.chunks, given.seconds)
        if mine.dropped:
            stats.dropped.add(mine.dropped, plan.channels_in)
        if mine.filled:
            stats.filled.add(mine.filled, plan.channels_out if plan.gives else plan.channels_in)
        stats.own += mine.own

    def left(self) -> Tally:
        """Return what left the node at all outputs. From any thread."""
        return _sum(self._outlets)

    def release(self) -> None:
        """Settle the counters, and drop all references to the rest of the flow."""
        self.settle()
        for ways in (self.emits, self._inlets, self._outlets):
            ways.clear()
        self._probes = self._active_probes = ()
        self._observer = self._active_observer = None
        self._bare_emits = ()
        self.node = None
        self.work = no_op

    def _balance(self) -> tuple[float, float]:
        """Return the channel-seconds that were taken in or filled in, and those that were given out or dropped."""
        stats = self.settle()
        taken = stats.arrived.seconds * self.plan.channels_in + stats.filled.total().seconds
        given = stats.left.seconds * self.plan.channels_out + stats.dropped.total().seconds
        return taken, given

    def imbalances(self) -> list[str]:
        """Return a line for each imbalance of a balanced node that did not fail and was not given up."""
        if not self.plan.cls.balanced or self.failed or self.chain.given_up:
            return []
        return list(unbalanced(f"node {self.plan.name}, channel-seconds", *self._balance(), 1e-3))


def _sum(counted: Iterable[Tally | Hop]) -> Tally:
    tallies = tuple(counted)
    return Tally(sum(t.chunks for t in tallies), sum(t.seconds for t in tallies))


def _tee(puts: Sequence[Put]) -> Put:
    """Return a function that hands a chunk to all ``puts`` in turn."""
    if len(puts) == 1:
        return puts[0]
    targets = tuple(puts)

    def tee(chunk: Any) -> None:
        for put in targets:
            put(chunk)

    return tee


def counted(put: Put) -> Target:
    """Return ``put`` with a tally of its own, for one of several inputs of a border or an output without targets."""
    tally = Tally()

    def count(chunk: Any) -> None:
        tally.add(1, chunk.seconds)
        put(chunk)

    return count, tally


def no_op(*work: Any) -> None:
    """No-op in place of a node's work once its flow is released, and behind an output without targets."""


def run_at(frame: FrameType) -> NodeRun | None:
    """Return the node that this frame of a stack calls; None when the frame is not one of the engine's."""
    caller = frame.f_locals.get("self")
    if isinstance(caller, Hop):
        return caller.run
    return caller if isinstance(caller, NodeRun) else None


class Hop:
    """An inlet of one node: ``put`` counts a chunk, hands it on (timed in sampled slots) and catches any exception.

    A hop counts like a `Tally`, but in ``units`` (samples of one channel), of which it makes seconds on request; text
    has none.
    """

    __slots__ = ("_payload", "_rate", "_sampler", "audio_end", "chunks", "emit", "run", "units")

    def __init__(self, run: NodeRun, emit: Any = None) -> None:
        """``emit`` is passed to the node with each chunk; a sink gets none."""
        given = run.plan.given
        self.audio_end = 0.0
        self.chunks = 0
        self.units = 0
        self.run = run
        self.emit = emit
        self._rate = given.rate if given else 0  # in Hz
        self._payload = PAYLOAD[given.kind if given else "text"]
        self._sampler = run.owner.sampler

    @property
    def put(self) -> Put:
        """The function that takes a chunk."""
        plan = self.run.plan
        if issubclass(plan.cls, Sink):
            return self._into_sink
        writes = plan.given is not None and plan.given.kind == "audio" and any(one.kind == "text" for one in plan.gives)
        return self._into_writer if writes else self._into_transform

    @property
    def seconds(self) -> float:
        return self.units / self._rate if self._rate else 0.0

    def _into_writer(self, chunk: Any) -> None:
        self.audio_end = max(self.audio_end, chunk.end / chunk.rate)
        self._into_transform(chunk)

    # Callables stand in local variables: the interpreter calls those faster than attributes.

    def _into_transform(self, chunk: Any) -> None:
        payload, run = self._payload, self.run
        self.chunks += 1
        self.units += len(payload(chunk))
        try:
            if self._sampler.on:
                run.timed(chunk, self.emit)
            else:
                work = run.work
                work(chunk, self.emit)
        except BaseException as error:
            run.fail_on(chunk, error)

    def _into_sink(self, chunk: Any) -> None:
        payload, run = self._payload, self.run
        self.chunks += 1
        self.units += len(payload(chunk))
        try:
            if self._sampler.on:
                run.timed(chunk)
            else:
                work = run.work
                work(chunk)
        except BaseException as error:
            run.fail_on(chunk, error)
