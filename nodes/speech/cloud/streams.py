"""Has a streaming engine hear all parties of one node, and its fallback those that it gave up."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import random

from flowcore import Audio, Emit, Text
from flowcore.speech import Streamer
from nodes.speech.cloud.ring import Ring
from nodes.speech.cloud.streaming import Streaming
from nodes.speech.driver import Driver, Host
from nodes.speech.local.converter import Converter
from nodes.speech.party import Party


class Streams:
    """One `Streaming` for each track of the node ``host``. ``fallback`` makes what hears the tracks that it gives up.

    ``backlog``: seconds of each party's audio that are kept until there is a final text of them.
    """

    def __init__(
        self,
        host: Host,
        engine: Streamer,
        backlog: float,
        interim: bool,
        parties: dict[str, Party],
        fallback: Callable[[Host], Driver] | None,
    ) -> None:
        self._host = host
        self.report = host.report
        self._engine = engine
        self._backlog = backlog
        self._interim = interim
        self._parties = parties
        self._make_fallback = fallback
        self._heard: dict[str, Streaming] = {}
        self._given_up: dict[str, Converter] = {}
        self._other: Driver | None = None
        self._other_due = inf
        self._close_by = inf

    def push(self, chunk: Audio) -> None:
        if chunk.track in self._given_up:
            self._push_other(self._given_up[chunk.track].convert(chunk))
            return
        heard = self._heard.get(chunk.track)
        if heard is None:
            heard = self._heard[chunk.track] = self._meet(chunk)
        heard.party.arrived(chunk)
        heard.push(chunk)

    def flush(self, by: float) -> None:
        self._close_by = by
        for heard in self._heard.values():
            heard.finish(by)
        self._flush_other()

    def busy(self) -> bool:
        return any(heard.busy() for heard in self._heard.values()) or (self._other is not None and self._other.busy())

    def collect(self, emit: Emit[Text]) -> None:
        try:
            for heard in list(self._heard.values()):
                heard.poll()
                if heard.gave_up:
                    self._give_up(heard)
        finally:  # also when the provider refuses for good: what it said before that counts
            for party in self._parties.values():
                for text in party.take():
                    emit(text)
        if self._other is not None:
            self._other.collect(emit)
        due = min((heard.due for heard in self._heard.values()), default=inf)
        self._host.alarm(min(due, self._other_due))

    def close(self) -> None:
        for heard in self._heard.values():
            heard.close()
        if self._other is not None:
            self._other.close()

    # The fallback's host: it has the node to itself, but for the alarm, of which a node has one.

    def wake(self) -> None:
        self._host.wake()

    def now(self) -> float:
        return self._host.now()

    def alarm(self, when: float, /) -> None:
        self._other_due = when

    def _meet(self, chunk: Audio) -> Streaming:
        return Streaming(
            self._engine,
            Ring(chunk.encoding, chunk.rate, self._backlog),
            self._parties.setdefault(chunk.track, Party(chunk.track, self._host.now)),
            self.report,
            self._host.wake,
            random,
            interim=self._interim,
            fallback=self._make_fallback is not None,
        )

    def _give_up(self, heard: Streaming) -> None:
        """From the first sample without a final text on, the party is the fallback's."""
        assert self._make_fallback is not None  # noqa: S101  # else it would not have given up
        if self._other is None:
            self._other = self._make_fallback(self)
        track = heard.party.track
        del self._heard[track]
        converter = self._given_up[track] = Converter(track)
        for chunk in heard.untold():
            self._push_other(converter.convert(chunk))
        if self._close_by < inf:
            self._flush_other()

    def _push_other(self, chunks: list[Audio]) -> None:
        assert self._other is not None  # noqa: S101
        for chunk in chunks:
            self._other.push(chunk)

    def _flush_other(self) -> None:
        if self._other is not None:
            for converter in self._given_up.values():
                self._push_other(converter.finish())
            self._other.flush(self._close_by)
