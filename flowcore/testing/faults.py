"""Trouble to order: nodes that fail, are slow or get stuck, and processes that are killed.

Any node of any plan can be given trouble, for all flows or for some::

    plan = afflict(compile(load("graphs/record.yaml")), "wav", Stuck(at=10), flows={"…flow3"}.__contains__)
    run_plan(plan, pool=VirtualPool())
"""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

from flowcore.graph.plan import Plan
from flowcore.node import Node, Session
from flowcore.testing.threads import spend

Moment = int | Literal["open", "flush", "close"]
"""When in a node's life: before the chunk of that number, counted from 0, or before one of its other calls."""

PATIENCE = 60.0
"""Real seconds after which a stuck node lets go by itself, so that a failing test ends."""


class Fault(Protocol):
    """What happens to a node before each of its calls."""

    def __call__(self, moment: Moment, chunk: Any) -> None:
        """``chunk`` is None but where ``moment`` is its number. May raise, spend time, or not return for long."""


@dataclass(frozen=True)
class Fail:
    """Raise at ``at``, once; chunks after it never come, because a node that raised is cut out of its flow."""

    at: Moment
    error: type[Exception] = RuntimeError

    def __call__(self, moment: Moment, chunk: Any) -> None:
        if moment == self.at:
            raise self.error(f"told to fail at {self.at}")


@dataclass(frozen=True)
class Slow:
    """Take ``factor`` seconds for each second of audio, and ``each`` seconds more for each chunk."""

    factor: float = 0.0
    each: float = 0.0

    def __call__(self, moment: Moment, chunk: Any) -> None:
        if chunk is not None:
            spend(chunk.seconds * self.factor + self.each)


@dataclass(frozen=True)
class Stuck:
    """Do not return from ``at``: for ``seconds``, or until `let_go`; ``reached`` tells that it got there.

    With ``seconds`` the time is virtual where the graph's clock is; without, the thread really waits.
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
            self._free.wait(PATIENCE)

    def let_go(self) -> None:
        """Let every node return that is stuck in this, and those that would be."""
        self._free.set()


class _Faulty:
    """Mixed in before a node's own class."""

    trouble: ClassVar[Fault]
    victim: ClassVar[Callable[[str], bool]]
    _hit = False
    _chunks = 0

    def open(self, session: Session) -> None:
        self._hit = type(self).victim(session.flow)
        self._meet("open")
        super().open(session)  # type: ignore[misc]  # the node's own, which comes next

    def process(self, chunk: Any, *emits: Any) -> None:
        self._chunks += 1
        self._meet(self._chunks - 1, chunk)
        super().process(chunk, *emits)  # type: ignore[misc]

    def flush(self, *emits: Any) -> None:
        self._meet("flush")
        super().flush(*emits)  # type: ignore[misc]

    def close(self) -> None:
        self._meet("close")
        super().close()  # type: ignore[misc]

    def _meet(self, moment: Moment, chunk: Any = None) -> None:
        if self._hit:
            type(self).trouble(moment, chunk)


def with_fault(
    cls: type[Node[Any]], trouble: Fault, flows: Callable[[str], bool] = lambda flow: True
) -> type[Node[Any]]:
    """A node class that does what ``cls`` does, but meets ``trouble`` in the flows that ``flows`` says."""
    return type(cls.__name__, (_Faulty, cls), {"trouble": staticmethod(trouble), "victim": staticmethod(flows)})


def inject(plan: Plan, node: str, trouble: Fault, flows: Callable[[str], bool] = lambda flow: True) -> Plan:
    """``plan`` with `troubled` in the place of ``node``'s class."""
    step = plan.nodes[node]
    return replace(plan, nodes={**plan.nodes, node: replace(step, cls=with_fault(step.cls, trouble, flows))})


@dataclass(frozen=True)
class Killed:
    """What a process had said, in whole lines, when it was killed (or had ended by itself: ``survived``)."""

    lines: tuple[bytes, ...]
    survived: bool


def kill_at_random(command: Sequence[str], seed: int, *, lines: tuple[int, int] = (1, 100)) -> Killed:
    """Run ``command`` and kill it (SIGKILL) after a number of lines of its output that ``seed`` picks.

    Each line acknowledges something; the process goes on while the signal is on its way, so that it is hit anywhere
    between one line and one of the next. What it said up to then is read to the end.
    """
    wanted = random.Random(seed).randint(*lines)  # noqa: S311  # no secret
    heard: list[bytes] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603  # the test's own
        out: Any = process.stdout
        while len(heard) < wanted and (line := out.readline()):
            heard.append(line)
        survived = len(heard) < wanted
        process.kill()
        heard += out.read().splitlines(keepends=True)
    return Killed(tuple(line.rstrip(b"\r\n") for line in heard if line.endswith(b"\n")), survived)
