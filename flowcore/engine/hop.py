"""A hop: a chunk is handed to the next node by a plain call, with its books around it.

Every chunk passes here, so a call less is worth a line more. A hop is one small object and its ``put`` a bound method:
a closure would lie scattered over half a dozen cells, which hundreds of flows push out of the processor's cache, and
the interpreter speeds up calls of a function that it has seen before, which a closure made for each flow never is.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from flowcore.node import Sink

if TYPE_CHECKING:
    from flowcore.engine.chain import NodeRun

Put = Callable[[Any], None]

PAYLOAD = {"packets": attrgetter("data"), "audio": attrgetter("samples"), "text": attrgetter("words")}
"""What of a chunk has its length: a byte of a packet is a sample, and text has no length in time at all."""


class Hop:
    """The way into one node: ``put`` counts a chunk, hands it on (timed in sampled slots) and survives what is raised.

    It is a `Tally` that counts ``units`` (samples of one channel) and makes seconds of them when asked: those of text
    are none.
    """

    __slots__ = ("_emit", "_payload", "_rate", "_sampler", "chunks", "run", "units")

    def __init__(self, run: NodeRun, emit: Any) -> None:
        """``emit`` is what the node is given to emit to; a sink is given nothing."""
        given = run.plan.given
        self.chunks = 0
        self.units = 0
        self.run = run
        self._emit = emit
        self._rate = given.rate if given else 0  # in Hz
        self._payload = PAYLOAD[given.kind if given else "text"]
        self._sampler = run.owner.sampler

    @property
    def put(self) -> Put:
        """What takes a chunk."""
        return self._into_sink if issubclass(self.run.plan.cls, Sink) else self._into_transform

    @property
    def seconds(self) -> float:
        return self.units / self._rate if self._rate else 0.0

    # What is called stands in a local variable: the interpreter is quicker to call that than an attribute.

    def _into_transform(self, chunk: Any) -> None:
        payload, run = self._payload, self.run
        self.chunks += 1
        self.units += len(payload(chunk))
        try:
            if self._sampler.on:
                run.timed(chunk, self._emit)
            else:
                work = run.work
                work(chunk, self._emit)
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
