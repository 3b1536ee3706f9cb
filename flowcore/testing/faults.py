"""Faults to inject: nodes that fail, are slow or get stuck.

Any node of any plan takes a fault, for all flows or for some::

    plan = inject(compile_graph(load("graphs/record.yaml")), "wav", Stuck(at=10), flows={"…flow3"}.__contains__)
    run_plan(plan, pool=VirtualPool())
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from flowcore.graph.plan import Plan
from flowcore.node import Node, Session
from flowcore.testing.threads import spend

Moment = int | Literal["open", "flush", "close"]
"""When in a node's life: before the chunk with this number, counted from 0, or before one of its other calls."""

STUCK_TIMEOUT = 60.0
"""Real seconds after which a stuck node returns by itself, so that a failing test ends."""


class Fault(Protocol):
    """Called before each call of a node."""

    def __call__(self, moment: Moment, chunk: Any) -> None:
        """Raise, spend time, or do not return for long. ``chunk`` is None unless ``moment`` is its number."""


@dataclass(frozen=True)
class Fail:
    """Raise at ``at``, once: a node that raised is cut out of its flow and gets no chunk after that."""

    at: Moment
    error: type[Exception] = RuntimeError

    def __call__(self, moment: Moment, chunk: Any) -> None:
        if moment == self.at:
            raise self.error(f"injected failure at {self.at}")


@dataclass(frozen=True)
class Slow:
    """Spend ``factor`` seconds for each second of audio, and ``each`` seconds for each chunk."""

    factor: float = 0.0
    each: float = 0.0

    def __call__(self, moment: Moment, chunk: Any) -> None:
        if chunk is not None:
            spend(chunk.seconds * self.factor + self.each)


@dataclass(frozen=True)
class Stuck:
    """Do not return from ``at`` for ``seconds``, or until `release`. The event ``reached`` is set at ``at``.

    ``seconds`` are virtual if the graph's clock is; without them the thread waits in real time.
    """

    at: Moment
    seconds: float | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    _free: threading.Event = field(default_factory=threading.Event)

    def __call__(self, moment: Moment, chunk: Any) -> None:
        if moment != self.at:
            return
        self.reached.set()
        if self.seconds is not None:
            spend(self.seconds)
        else:
            self._free.wait(STUCK_TIMEOUT)

    def release(self) -> None:
        """Let all nodes return that are stuck in this fault, or would be later."""
        self._free.set()


class _Faulty:
    """Mixed in before a node's own class."""

    fault: ClassVar[Fault]
    chosen: ClassVar[Callable[[str], bool]]
    _faulty = False
    _chunks = 0

    def open(self, session: Session) -> None:
        self._faulty = type(self).chosen(session.flow)
        self._inject("open")
        super().open(session)  # type: ignore[misc]  # the node's own, which comes next

    def process(self, chunk: Any, *emits: Any) -> None:
        self._chunks += 1
        self._inject(self._chunks - 1, chunk)
        super().process(chunk, *emits)  # type: ignore[misc]

    def flush(self, *emits: Any) -> None:
        self._inject("flush")
        super().flush(*emits)  # type: ignore[misc]

    def close(self) -> None:
        self._inject("close")
        super().close()  # type: ignore[misc]

    def _inject(self, moment: Moment, chunk: Any = None) -> None:
        if self._faulty:
            type(self).fault(moment, chunk)


def with_fault(cls: type[Node[Any]], fault: Fault, flows: Callable[[str], bool] = lambda flow: True) -> type[Node[Any]]:
    """Return a subclass of ``cls`` that has ``fault`` in the flows for whose names ``flows`` is true."""
    return type(cls.__name__, (_Faulty, cls), {"fault": staticmethod(fault), "chosen": staticmethod(flows)})


def inject(plan: Plan, node: str, fault: Fault, flows: Callable[[str], bool] = lambda flow: True) -> Plan:
    """Return ``plan`` in which ``node`` has ``fault``: see `with_fault`."""
    return plan.with_class(node, with_fault(plan.nodes[node].cls, fault, flows))
