"""Drives a streaming engine for one party: any number of streams, holds and errors, every word once.

Pure logic: the clock and the engine are handed in, and whoever owns it calls ``poll`` when something has come or is
due. What a final text does not cover stays in a ring of audio, so that any stream may fail at any time: the next one
is given that audio again. Streams are told apart by where one is cut from the next on the flow's clock. The new one
begins a little before the cut, the old one is fed a little beyond it, and each word belongs to the side that its
middle lies on; a word that one side has said is not said again by the other, even if they differ about its times.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from queue import SimpleQueue

from flowcore import Audio, Report, Word
from flowcore.speech import Ended, Expired, OverQuota, Rejected, Result, Stream, Streamer, StreamError, Unavailable
from nodes.speech.cloud.backoff import Backoff
from nodes.speech.cloud.ring import Ring
from nodes.speech.driver import UNTRANSCRIBED
from nodes.speech.party import Party
from nodes.speech.words import plain

SOFT, HARD = 2 / 3, 29 / 30  # of a stream's greatest age: renewed at the next final or pause; renewed anyway
HOLD = 5.0  # seconds without audio after which a stream is ended; less when the provider is quicker
STALLED = 30.0  # seconds in which a stream said nothing at all: silence, music, or it hangs; renewing it tells
DRAIN = 4.0  # seconds that a stream may take to finish what it has; official samples see about one
PRE_ROLL = 1.0  # seconds that a stream hears before the place from which its words count: longer than any word
OVERLAP = 0.5  # seconds that an old stream hears after the new one was begun, which may yet fail to begin
SETTLED = 10.0  # seconds after which a stream counts as one that works
QUICK = 1.0  # seconds: a stream that ends as too old before that is refused in truth
PATIENCE = 10.0  # seconds of failures in a row after which the fallback takes over
QUOTA = 3  # refusals for want of quota in a row, likewise
REQUEST = 0.1  # seconds of audio in a request, as Google recommends
BURST = 1.0  # seconds of audio that a new stream may be sent at once
NEAR = 0.15  # seconds by which two streams may differ about the time of a word
TAIL = 0.4  # seconds of silence that make a pause worth a cut
QUIET = 150.0  # mean absolute sample of a pause, of 32768: -47 dB
LOOK_BACK = 4.0  # seconds in which the quietest place is looked for when a cut cannot wait
FULL = 0.75  # of the ring: more than that without a final text, and a cut is made


class _RolloverStream:
    """One stream, and the stretch of the flow's clock that it hears: positions in samples."""

    def __init__(self, begin: int, opened: float) -> None:
        self.stream: Stream
        self.begin = begin
        self.sent = begin
        self.opened = opened  # when
        self.heard = opened  # when it last said something
        self.cut: int | None = None  # its words count up to here
        self.stop: int | None = None  # it is fed up to here
        self.drain_by = inf  # once it has been ended
        self.over = False
        self.results: list[Result] = []


class Streaming:
    """One party's audio in, its texts to ``party``; `poll` does all the work.

    ``poll`` raises `Rejected`. ``due`` is when to call it at the latest. ``gave_up`` turns true when a fallback is to
    go on with the audio that `untold` gives. ``wake`` is called from any thread when something came.
    """

    def __init__(
        self,
        engine: Streamer,
        ring: Ring,
        party: Party,
        report: Report,
        wake: Callable[[], None],
        chance: Callable[[], float],
        *,
        interim: bool = True,
        fallback: bool = False,
    ) -> None:
        self.gave_up = False
        self._engine = engine
        self._limits = engine.limits
        self._ring = ring
        self._rate = ring.rate
        self._longest = ring.longest
        self.party = party
        self._report = report
        self._wake = wake
        self._interim = interim
        self._fallback = fallback
        self._hold = min(HOLD, self._limits.idle / 2)
        self._events: SimpleQueue[tuple[_RolloverStream, Result | Ended]] = SimpleQueue()  # from any thread
        self._legs: list[_RolloverStream] = []  # in the order of their audio; only the last may have no end yet
        self._done: int | None = None  # position up to which all is told
        self._said: tuple[_RolloverStream, Word] | None = None  # the last word of a final text, and who said it
        self._backoff = Backoff(chance)
        self._retry_at = -inf
        self._failing_since = inf
        self._quota = 0
        self._last_audio = -inf
        self._close_by = inf

    def push(self, chunk: Audio) -> None:
        """The next audio."""
        if self._done is None:
            self._done = chunk.start
        self._ring.add(chunk)
        self._last_audio = self.party.now()

    def finish(self, by: float) -> None:
        """No more audio; `busy` until all is told, or given up at the monotonic time ``by``."""
        self._close_by = by

    def busy(self) -> bool:
        return self._close_by < inf and not self.gave_up and (bool(self._legs) or self._left)

    def close(self) -> None:
        """Let go of all streams, and of the audio: they refer back to this, which may stay for long."""
        self._drop(0)
        self._ring.trim(self._ring.end)

    def untold(self) -> list[Audio]:
        """The audio of which nothing final was said."""
        self._mark_lost()
        return list(self._ring.chunks(self._told, self.party.track))

    def poll(self) -> None:
        """Take in what came, and do what is due. Raises `Rejected` when the provider will not have it."""
        now = self.party.now()
        while not self._events.empty():
            leg, event = self._events.get()
            if leg in self._legs:
                self._hear(leg, event, now)
        for leg in [leg for leg in self._legs if leg.drain_by <= now]:
            if leg in self._legs:
                self._fail(leg, Unavailable(f"no end within {DRAIN:g} s"), now)
        if self.gave_up:
            return
        self._renew(now)
        self._feed(now)
        if now >= self._close_by and self.busy():
            self._drop(0)
            self._mark(self._told, self._ring.end)

    @property
    def due(self) -> float:
        """Monotonic time at which to call `poll` although nothing came; ``inf``: not at all."""
        now = self.party.now()
        times = [leg.drain_by for leg in self._legs]
        fed = [leg for leg in self._legs if leg.drain_by == inf]
        if any(self._at_its_end(leg, now) for leg in fed):
            times.append(now)
        least = REQUEST * self._rate if self._live(now) else 1
        if any(self._reach(leg) - leg.sent >= least for leg in fed):
            times.append(now + REQUEST)
        if fed:
            marks = [self._last_audio + 2 * REQUEST, self._last_audio + self._hold]
            marks += [leg.opened + HARD * self._limits.max_stream for leg in fed]
            times += [when for when in marks if when > now]
        elif self._left:
            times.append(max(self._retry_at, now + REQUEST))
        if self.busy():
            times.append(self._close_by)
        return min(times, default=inf)

    # What comes from streams.

    def _hear(self, leg: _RolloverStream, event: Result | Ended, now: float) -> None:
        leg.heard = now
        if isinstance(event, Result):
            self._works()
            leg.results.append(event)
        elif event.error is None and leg.drain_by < inf:
            leg.over = True
        self._tell(now)
        if isinstance(event, Ended) and not leg.over:
            self._fail(leg, event.error or Expired("the provider ended the stream"), now)

    def _tell(self, now: float) -> None:
        """Say what the first leg has heard; when it is over, what the next one has, which had to wait for it."""
        while self._legs:
            leg = self._legs[0]
            for result in leg.results:
                self._say(leg, result, now)
            leg.results.clear()
            if not leg.over:
                return
            self._told_up_to(leg.sent if leg.cut is None else min(leg.sent, leg.cut))
            end = self._told / self._rate
            self.party.final(end, end, "")  # takes back what was shown and came to nothing
            self._legs.remove(leg)

    def _say(self, leg: _RolloverStream, result: Result, now: float) -> None:
        begin = leg.begin / self._rate
        until = inf if leg.cut is None else leg.cut / self._rate
        since = max(self._said[1].end if self._said else -inf, self._told / self._rate - NEAR)
        end = begin + result.end
        start = self._told / self._rate if result.start is None else begin + result.start
        words = tuple(Word(w.text, begin + w.start, begin + w.end) for w in result.words)
        counted = words or _spread(result.text, min(start, end), end)
        mine = tuple(w for w in counted if since < (w.start + w.end) / 2 < until and not self._again(leg, w))
        text = result.text if len(mine) == len(counted) else " ".join(word.text for word in mine)
        if mine:
            start, end = (mine[0].start, mine[-1].end) if words else (max(start, since), min(end, until))
        told = mine if words else ()
        if not result.final:
            if self._interim and mine and leg.cut is None:
                self.party.interim(start, end, text, told, result.confidence)
            return
        self._said = (leg, mine[-1]) if mine else self._said
        self.party.final(start, end, text if mine else "", told, result.confidence)
        position = min(leg.sent, leg.begin + round(result.end * self._rate))
        self._told_up_to(position if leg.cut is None else min(position, leg.cut))
        if leg is self._feeding and self._age(leg, now) >= SOFT * self._limits.max_stream:
            self._roll(leg, self._told, now)

    def _again(self, leg: _RolloverStream, word: Word) -> bool:
        """Whether it is what another stream said last, although the two differ about its times by more than half."""
        if self._said is None or self._said[0] is leg:
            return False
        said = self._said[1]
        return abs(word.start - said.start) < NEAR and plain(word.text) == plain(said.text)

    def _works(self) -> None:
        self._backoff.reset()
        self._failing_since = inf
        self._quota = 0

    def _fail(self, leg: _RolloverStream, error: StreamError, now: float) -> None:
        """A stream is no more: it and those after it are given up, and their audio is heard again."""
        if isinstance(error, Rejected):
            self._drop(0)
            raise error
        self._report.event("stream_failed", reason=type(error).__name__, detail=str(error)[:200])
        number = self._legs.index(leg)
        self._drop(number)
        if number and self._legs[-1].drain_by == inf:
            self._legs[-1].cut = self._legs[-1].stop = None  # it was to be renewed, and goes on instead
        age = now - leg.opened
        if age >= SETTLED:
            self._works()
        if isinstance(error, Expired) and age >= QUICK:
            return
        self._failing_since = min(self._failing_since, now)
        self._quota += isinstance(error, OverQuota)
        self._retry_at = now + self._backoff.pause()
        if self._fallback and (self._quota >= QUOTA or now - self._failing_since >= PATIENCE):
            self._report.event("fallback_started", reason=type(error).__name__)
            self._drop(0)
            self.gave_up = True

    # What goes to streams.

    def _renew(self, now: float) -> None:
        """Begin, end or renew the stream that is fed, where its time has come."""
        leg = self._feeding
        if leg is None:
            start = self._legs[-1].cut if self._legs else None
            if now >= self._retry_at:
                self._begin(self._told if start is None else start, now)
            return
        if self._at_its_end(leg, now):
            leg.cut = leg.stop = leg.sent
            return
        if len(self._legs) > 1 or now < self._retry_at:
            return
        age, most, ring = self._age(leg, now), self._limits.max_stream, self._ring
        if self._close_by < inf and age < HARD * most:
            return  # the end is near, and will do
        oldest = max(leg.begin, ring.lost)
        tail = max(oldest, leg.sent - round(TAIL * self._rate))
        if age >= SOFT * most and leg.sent - tail >= TAIL * self._rate:
            cut, level = ring.quietest(tail, leg.sent)
            if level <= QUIET:
                self._roll(leg, cut, now)
                return
        full = (leg.sent - self._told) > FULL * self._longest * self._rate
        stalled = now - leg.heard >= STALLED and leg.sent - leg.begin >= STALLED * self._rate
        if age >= HARD * most or full or stalled:
            cut, _ = ring.quietest(max(oldest, self._told, leg.sent - round(LOOK_BACK * self._rate)), leg.sent)
            self._roll(leg, cut, now)

    def _begin(self, position: int, now: float) -> None:
        """Open a stream whose words count from ``position`` on, if there is audio."""
        if not self._legs:
            position = self._mark_lost()
        found = self._ring.stretch(position)
        if found is None or self._ring.lost > position:  # what is lost is told of after all before it
            return
        leg = _RolloverStream(max(found[0], position - round(PRE_ROLL * self._rate)), now)
        leg.stream = self._engine.stream(self._ring.encoding, self._rate, partial(self._came, leg))
        self._legs.append(leg)

    def _came(self, leg: _RolloverStream, event: Result | Ended) -> None:  # in any thread
        self._events.put((leg, event))
        self._wake()

    def _roll(self, leg: _RolloverStream, cut: int, now: float) -> None:
        leg.cut, leg.stop = cut, leg.sent + round(OVERLAP * self._rate)
        self._begin(cut, now)

    def _feed(self, now: float) -> None:
        for leg in self._legs:
            if leg.drain_by < inf:
                continue
            reach = self._reach(leg)
            last = self._ring.stretch(reach) is not None or not self._live(now)  # nothing follows on it just now
            if leg.stop is not None and leg.sent == reach and last:
                leg.stop = reach
            upto = min(reach, leg.begin + round((BURST + self._limits.pace * (now - leg.opened)) * self._rate))
            whole = upto == reach and last
            if whole or upto - leg.sent >= round(REQUEST * self._rate):
                self._send(leg, upto)
            if leg.stop is not None and leg.sent >= leg.stop:
                leg.drain_by = now + DRAIN
                leg.stream.end()

    def _send(self, leg: _RolloverStream, upto: int) -> None:
        most = self._limits.max_request // (2 if self._ring.encoding == "s16" else 1)
        while leg.sent < upto:
            to = min(upto, leg.sent + most)
            leg.stream.send(self._ring.read(leg.sent, to))
            leg.sent = to

    # What is known.

    @property
    def _told(self) -> int:
        return self._done or 0

    @property
    def _left(self) -> bool:
        """Whether there is audio of which nothing final was said."""
        return self._ring.stretch(self._told) is not None

    @property
    def _feeding(self) -> _RolloverStream | None:
        """The leg that has no end yet."""
        return self._legs[-1] if self._legs and self._legs[-1].stop is None else None

    def _age(self, leg: _RolloverStream, now: float) -> float:
        return max(now - leg.opened, (leg.sent - leg.begin) / self._rate)

    def _live(self, now: float) -> bool:
        """Whether more audio is just coming."""
        return self._close_by == inf and now < self._last_audio + 2 * REQUEST

    def _reach(self, leg: _RolloverStream) -> int:
        """How far there is audio for the leg."""
        found = self._ring.stretch(leg.sent)
        end = leg.sent if found is None or found[0] > leg.sent else found[1]
        return end if leg.stop is None else min(end, leg.stop)

    def _at_its_end(self, leg: _RolloverStream, now: float) -> bool:
        """Whether no audio will come that goes on where the leg has got to."""
        if self._reach(leg) > leg.sent:
            return False
        more = self._ring.stretch(leg.sent) is not None
        return more or self._close_by < inf or now >= self._last_audio + self._hold

    def _told_up_to(self, position: int) -> None:
        self._done = max(self._told, position)
        self._ring.trim(self._done - round(PRE_ROLL * self._rate))

    def _mark_lost(self) -> int:
        """Say of which audio nothing will ever be said, because it had to leave the ring; where the rest begins."""
        if self._ring.lost > self._told:
            self._mark(self._told, self._ring.lost)
        return self._told

    def _mark(self, start: int, end: int) -> None:
        self.party.gap(start / self._rate, end / self._rate, UNTRANSCRIBED)
        self._report.dropped(UNTRANSCRIBED, (end - start) / self._rate)
        self._told_up_to(end)

    def _drop(self, first: int) -> None:
        """Give up the legs from this one on."""
        for leg in self._legs[first:]:
            leg.stream.cancel()
        del self._legs[first:]


def _spread(text: str, start: float, end: float) -> tuple[Word, ...]:
    """The words of a text whose times nobody told, as if all took the same."""
    words = text.split()
    each = (end - start) / max(1, len(words))
    return tuple(Word(word, start + n * each, start + (n + 1) * each) for n, word in enumerate(words))
