"""A flow: one running instance of a plan, usually one call, with its states, failures and end.

::

    opening ──► running ──► draining ──► closed
        └──────────┴────────────┴──────────┘

*Draining* begins when the listener ends the flow, when a node fails whose failure ends flows, or when the process
stops: the nodes of the first chain are flushed in order and the end travels through the borders behind the last
chunk. *Closed* is reached when every chain has closed its nodes, or at the deadline even if some hang.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from functools import partial
from typing import Any, Final

from flowcore.audio import Packet
from flowcore.engine.alarms import Alarms
from flowcore.engine.border import Border
from flowcore.engine.bus import Bus
from flowcore.engine.chain import Chain
from flowcore.engine.clock import Clock
from flowcore.engine.gaps import Gaps
from flowcore.engine.losses import Losses
from flowcore.engine.node_run import NodeRun, Put, Target, counted
from flowcore.engine.pool import Pool
from flowcore.engine.silencing import Silencer, Silencing
from flowcore.engine.stats import NodeStats, Sampler
from flowcore.engine.summary import Summary
from flowcore.engine.version import Version
from flowcore.engine.watchdog import blamed_node
from flowcore.errors import AccountingError, CannotStart, NodeFailed
from flowcore.events import Level
from flowcore.graph.plan import Plan
from flowcore.live import LiveChange, changed_fields
from flowcore.losses import Gap, Loss
from flowcore.node import Session
from flowcore.report import Report

OPENING: Final = "opening"
RUNNING: Final = "running"
DRAINING: Final = "draining"
CLOSED: Final = "closed"
NEXT = {OPENING: (RUNNING, DRAINING, CLOSED), RUNNING: (DRAINING, CLOSED), DRAINING: (CLOSED,), CLOSED: ()}

NODE_FAILED: Final = "node_failed"
DRAIN_DEADLINE: Final = "drain_deadline"
STOPPING: Final = "stopping"
OPERATOR: Final = "operator"
MAX_CHANGES: Final = 100
"""Changes of live fields that the end of a call names at most: the last ones."""


class Flow:
    """Implements `flowcore.listener.Inlet` towards the listener, and `FlowContext` towards its chains and nodes.

    ``needs_sweep`` is called, from any thread, when `sweep` has work.
    """

    def __init__(
        self,
        version: Version,
        session: Session,
        *,
        clock: Clock,
        pool: Pool,
        loop_pool: Pool,
        bus: Bus,
        sampler: Sampler,
        alarms: Alarms,
        silencing: Silencing,
        drain: float,
        needs_sweep: Callable[[Flow], None],
    ) -> None:
        self.id = self.flow = session.flow
        self.session = session
        self.version = version
        self.plan = plan = version.plan
        self.resources = version.resources
        self.sampler = sampler
        self.alarms = alarms
        self.now = clock.now
        self.state = OPENING
        self.ended = False
        self.reason = ""
        self.failures: list[NodeFailed] = []
        self.opened_at = clock.now()
        self._bus = bus
        self._drain = drain
        self._needs_sweep = needs_sweep
        self._end_reason = ""
        self._deadline = float("inf")
        self._source_waits = not plan.listener.cls.live
        self._queued = 0.0  # in all queues, when the deadline was set
        self.gaps = Gaps()
        self.summary = Summary()
        self.outcome: dict[str, Any] = {}  # the fields of `flow_closed`, once it is closed
        self._changes: deque[LiveChange] = deque(maxlen=MAX_CHANGES)
        self._parties: dict[str, None] = {}  # a set that keeps its order
        self.runs: dict[str, NodeRun] = {}
        self.borders: dict[str, Border] = {}
        self.chains: list[Chain] = []
        self._build(plan, pool, loop_pool)
        self._trunk = self.chains[0]
        self._blocked = self._trunk.blocked  # checked before each read of a socket
        listener = self.runs[plan.listener.name]
        self.report: Report = listener
        self._put: Put = listener.emits[0]
        self.silencing = silencing
        self._silencer = Silencer(silencing, plan.listener.gives[0], listener, self._position)
        self.push: Put = self._push_of_party
        for run in self.runs.values():
            run.make()
        silencing.on_change.add(self._wake_nodes)

    def _build(self, plan: Plan, pool: Pool, loop_pool: Pool) -> None:
        for node in plan.nodes.values():
            if node.chain == len(self.chains):
                border = Border(node.name, node.border, self.now, self.gaps) if node.border else None
                if border is not None:
                    border.on_fail = partial(self._border_failed, node.name)
                    self.borders[node.name] = border
                self.chains.append(Chain(node.chain, self, pool if border is not None else loop_pool, border))
            chain = self.chains[node.chain]
            run = NodeRun(node, self, chain)
            chain.runs.append(run)
            self.runs[node.name] = run
        # From the last node to the first, so that what a node emits to exists before it.
        targets: dict[tuple[str, int], list[Target]] = {}
        for node in reversed(tuple(plan.nodes.values())):
            run = self.runs[node.name]
            for port in range(len(node.gives)):
                run.add_output(targets.get((node.name, port), []))
            if not node.inputs:
                continue
            border = self.borders.get(node.name)
            if border is not None:
                self.chains[node.chain].entry = run.hop().put
                for producer in dict.fromkeys(self.chains[plan.nodes[name].chain] for name, _ in node.inputs):
                    border.producers.append(producer)
                    producer.next_borders.append(border)
            for source in node.inputs:
                target: Target
                if border is None:
                    hop = run.hop()
                    target = (hop.put, hop)
                elif len(node.inputs) == 1:
                    target = (border.put, border.entered)
                else:
                    target = counted(border.put)
                targets.setdefault(source, []).insert(0, target)

    def _border_failed(self, name: str) -> None:
        self.runs[name].fail(OverflowError("its queue is full and its policy is on_full: fail"))

    def _move(self, state: str) -> None:
        if state not in NEXT[self.state]:
            raise AssertionError(f"flow {self.id} cannot go from {self.state} to {state}")
        self.state = state
        self.ended = state in (DRAINING, CLOSED)

    # Called by the listener.

    @property
    def call_id(self) -> str:
        """The session's attribute of this name; empty without one."""
        return self.session.attributes.get("call_id", "")

    @property
    def paused(self) -> bool:
        return bool(self._blocked)

    def silences(self, track: str) -> bool:
        return self.silencing.covers(track)

    def start(self) -> None:
        """Open the nodes: those of the first chain now, the others in their threads."""
        self._bus.emit("flow_opened", self.id, call_id=self.call_id)
        if self.silencing.active:
            self.report_silencing()
        self._trunk.open()
        for chain in self.chains[1:]:
            chain.strand.ready()
        if self.state == OPENING:
            self._move(RUNNING)

    def end(self, reason: str) -> None:
        if reason == STOPPING:
            self._source_waits = False
        if self.ended:
            return
        self._move(DRAINING)
        self.reason = reason
        self._set_deadline()
        self.push = self._too_late
        self._needs_sweep(self)
        self._trunk.finish()

    def push_to(self, put: Put) -> None:
        self._put = put

    def _push_of_party(self, chunk: Any) -> None:
        if chunk.track not in self._parties:
            self._parties[chunk.track] = None
        if self.silencing.active:
            chunk = self._silencer.apply(chunk)
            if chunk is None:
                return
        self._put(chunk)

    def _position(self, packet: Packet) -> float:
        """Return the second of the call at which a packet began, by its arrival: its place is found behind here."""
        return max(packet.arrived - packet.seconds - self.opened_at, 0.0)

    @property
    def parties(self) -> list[str]:
        """Tracks on which audio came."""
        return [track for track in tuple(self._parties) if track]

    def report_silencing(self) -> None:
        silencing = self.silencing
        self._bus.emit("call_silenced", self.id, paused=silencing.paused, muted=sorted(silencing.muted))

    def _too_late(self, chunk: Any) -> None:
        self.report.dropped("after_end", chunk.seconds)

    def change(self, plan: Plan) -> list[str]:
        """Give the nodes their configs of ``plan``, which differs in live fields only, at the end of the slot.

        In the event loop's thread. Returns what changes, as ``node.field``.
        """
        changed: list[str] = []
        for name, run in self.runs.items():
            before, config = run.config, plan.nodes[name].config
            if before is not config and (names := changed_fields(before, config)):
                run.change_config(config)
                changed += [f"{name}.{field}" for field in names]
        self.plan = plan
        if changed:
            self._changes.append(LiveChange(round(self.now() - self.opened_at, 3), tuple(changed)))
        return changed

    # Called by the chains.

    def event(self, name: str, node: str, *, level: Level | None = None, **data: Any) -> None:
        self.summary.event(name, data)
        self._bus.emit(name, self.id, node, level=level, **data)

    def node_failed(self, run: NodeRun, error: NodeFailed) -> None:
        self.failures.append(error)
        cause = error.cause
        if isinstance(cause, CannotStart):
            cause.node = cause.node or run.plan.name
        self._bus.emit(NODE_FAILED, self.id, run.plan.name, cause=cause, policy=run.plan.on_error)
        if run.plan.on_error == "fail_flow" or not self._reaches_a_sink():
            self._end_reason = NODE_FAILED
            self._needs_sweep(self)

    def _reaches_a_sink(self) -> bool:
        """Whether a path without permanently failed nodes leads from the listener to a sink."""
        reached: set[str] = set()
        for name, run in self.runs.items():
            failed = run.failed and run.plan.on_error != "restart"
            if not failed and (not run.plan.inputs or any(source in reached for source, _ in run.plan.inputs)):
                reached.add(name)
        return any(not self.runs[name].plan.gives for name in reached)

    def chain_finished(self) -> None:
        self._needs_sweep(self)

    # Called by the engine, in the event loop's thread, at the end of a slot.

    def sweep(self) -> bool:
        """Do the work that is due. Returns True while the flow needs a sweep in the next slot too."""
        if self._end_reason and not self.ended:
            self.end(self._end_reason)
        if self.state != DRAINING:
            return False
        if all(chain.done for chain in self.chains):
            self._close()
            return False
        if self.now() >= self._deadline:
            if not self._goes_on():
                self._give_up()
                return False
            self._set_deadline()
        return True

    def _set_deadline(self) -> None:
        self._deadline = self.now() + self._drain
        self._queued = self.queued()

    def _goes_on(self) -> bool:
        """Whether nodes still work since the deadline was set, and nothing is late because the source can wait."""
        return self._source_waits and (
            self.queued() != self._queued or any(run.busy() for run in tuple(self.runs.values()))
        )

    def _give_up(self) -> None:
        self.reason = DRAIN_DEADLINE
        for chain in self.chains:
            if chain.done:
                continue
            hanging = self._hanging(chain)
            chain.give_up()
            for run in chain.runs:
                run.write_off(DRAIN_DEADLINE)
            queued = chain.border.depth if chain.border is not None else 0.0
            self._bus.emit("node_hung", self.id, hanging, queued_ms=round(queued * 1000), stack=chain.strand.stack())
            cause = TimeoutError(f"hung for {self._drain:g} s after the end of its flow, {queued:.1f} s still queued")
            self.failures.append(NodeFailed(self.id, hanging, cause))
            if chain.border is not None:
                chain.border.abandon(DRAIN_DEADLINE)
        self._close()

    @staticmethod
    def _hanging(chain: Chain) -> str:
        """Return the node that the chain waits for: the one on its thread's stack, else the first busy one."""
        first = chain.runs[0].plan.name
        frame = chain.strand.frame()
        if frame is not None:
            return blamed_node(frame)[1] or first
        return next((run.plan.name for run in chain.runs if run.busy()), first)

    def _close(self) -> None:
        self._move(CLOSED)
        self.silencing.on_change.discard(self._wake_nodes)
        stats, losses = self.stats(), self.losses()
        self.outcome = {
            "call_id": self.call_id,
            "version": str(self.version),
            "parties": self.parties,
            "reason": self.reason,
            "seconds": round(self.now() - self.opened_at, 3),
            "failed": [error.node for error in self.failures],
            "lost_ms": round(losses.seconds * 1000),
            "lost": losses.json(),
            "lost_between": self._lost_between(losses),
            "dropped": {name: node.dropped.json() for name, node in stats.items() if node.dropped},
            "filled": {name: node.filled.json() for name, node in stats.items() if node.filled},
            "changed": [tuple(change) for change in self._changes],
            "silenced": [(span.track, round(span.start, 3), round(span.end, 3)) for span in self.silenced()],
            "delay_ms": round(max((border.longest for border in self.borders.values()), default=0.0) * 1000),
            **self.summary.json(),
        }
        level: Level | None = "warning" if losses or self.failures else None
        self._bus.emit("flow_closed", self.id, level=level, **self.outcome)

    # Counters.

    def stats(self) -> dict[str, NodeStats]:
        """Return copies of the up-to-date counters of every node, by name. From any thread."""
        counters: dict[str, NodeStats] = {}
        self.add_to(counters)
        return counters

    def add_to(self, nodes: dict[str, NodeStats]) -> None:
        """Add the up-to-date counters of every node to those of its name. From any thread."""
        for name, run in tuple(self.runs.items()):  # a copy: `release` empties it
            stats = nodes.get(name)
            if stats is None:
                stats = nodes[name] = NodeStats()
            border = self.borders.get(name)
            if border is None:
                run.add_to(stats, None)
            else:
                run.add_to(stats, border.entered)
                border.add_to(stats)

    def losses(self, nodes: Container[str] | None = None) -> Losses:
        """Return what all nodes, or some of them, and the borders before them lost so far. From any thread."""
        losses = Losses()
        for name, run in tuple(self.runs.items()):  # a copy: `release` empties it
            if nodes is not None and name not in nodes:
                continue
            node, border = run.plan, self.borders.get(name)
            if not (run.stats.dropped or run.stats.filled or (border is not None and border.dropped)):
                continue
            counted = [(run.stats.dropped, node.channels_in)]
            counted.append((run.stats.filled, node.channels_out if node.gives else node.channels_in))
            if border is not None:
                counted.append((border.dropped, 1))
            for reasons, channels in counted:
                for reason, tally in tuple(reasons.items()):
                    if self._bus.declared.lost(name, reason):
                        losses.count(name, reason, tally.chunks, tally.seconds / channels)
        return losses

    def _lost_between(self, losses: Losses) -> dict[str, dict[str, tuple[float, float]]]:
        found = {
            node: {reason: between for reason in reasons if (between := self.gaps.between(node, reason))}
            for node, reasons in losses.items()
        }
        return {node: reasons for node, reasons in found.items() if reasons}

    def source_waits(self) -> bool:
        return self._source_waits

    def losses_until(self, node: str) -> list[Loss]:
        way = self.plan.way_to(node)
        losses = []
        for name, reasons in self.losses(way).items():
            for reason, tally in reasons.items():
                loss = Loss(name, reason, tally.chunks, tally.seconds, self.gaps.of(name, reason))
                tracks = way[name]
                part = loss if tracks is None else loss.in_tracks(tracks)
                if part is not None:
                    losses.append(part)
        return losses

    def silenced(self) -> tuple[Gap, ...]:
        """Return the silenced stretches so far, in order. From any thread."""
        return self._silencer.spans()

    def changes_until(self, node: str) -> list[LiveChange]:
        """Return the changes of live fields in a node, and on the way to it. From any thread."""
        way = self.plan.way_to(node)
        found = ((at, tuple(name for name in fields if name.rpartition(".")[0] in way)) for at, fields in self._changes)
        return [LiveChange(at, fields) for at, fields in found if fields]

    def silent_until(self, node: str) -> frozenset[str]:
        """Return the parties of the audio that comes to a node that are silent now; the empty name: all."""
        if self.silencing.paused:
            return frozenset({""})
        tracks = self.plan.way_to(node)[self.plan.listener.name]
        return self.silencing.muted if tracks is None else self.silencing.muted & tracks

    def _wake_nodes(self) -> None:
        for chain in self.chains:
            chain.wake()

    def silenced_until(self, node: str) -> list[Gap]:
        tracks = self.plan.way_to(node)[self.plan.listener.name]
        return [gap for gap in self.silenced() if tracks is None or not gap.track or gap.track in tracks]

    def queued(self) -> float:
        """Return the seconds of audio now queued in borders. From any thread."""
        return sum(border.depth for border in tuple(self.borders.values()))

    def audio_end(self) -> float:
        """Return the second on the flow's clock at which the audio ends of which text was made so far."""
        return max((run.audio_end() for run in tuple(self.runs.values())), default=0.0)

    def check_balance(self) -> None:
        """Raise `AccountingError` unless everything that went in is accounted for."""
        broken = [line for border in self.borders.values() for line in border.imbalances()]
        broken += [line for run in self.runs.values() for line in run.imbalances()]
        if broken:
            raise AccountingError(f"flow {self.id}: " + "; ".join(broken))

    def release(self) -> None:
        """Break all reference cycles, so that memory is freed at once, without the garbage collector.

        This object and the listener's counters remain, because a late chunk may still be counted there.
        """
        for chain in self.chains:
            if chain.done:  # otherwise it still has to close its nodes
                for run in chain.runs:
                    run.release()
                chain.release()
        if all(chain.done for chain in self.chains):
            self.runs.clear()
            self.borders.clear()
            self.chains.clear()
