"""Stream one track to a provider through any number of streams, holds and errors, with every word once.

This module does no I/O: the clock and the engine are arguments, and the owner calls `StreamingTrack.poll` when an event
came or is due. Audio without a final text stays in a `ReplayBuffer`, so any stream may fail at any time: the next one
gets that audio again. A cut on the flow's clock separates a stream from the next. The new stream begins a little before
the cut, and the old one gets a little audio after the cut; `WordAttribution` decides whose words count. For an engine
without times of words, the cut is where the old stream's audio ends and the new one's begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from queue import SimpleQueue

from flowcore import Audio, Report
from flowcore.speech import Ended, Expired, Rejected, Result, Streamer, StreamError, Unavailable
from nodes.speech.cloud.replay_buffer import ReplayBuffer
from nodes.speech.cloud.retry import RetryPolicy
from nodes.speech.cloud.rollover_stream import RolloverStream, WordAttribution
from nodes.speech.driver import UNTRANSCRIBED, TrackTranscript
from nodes.speech.usage import Usage

RENEW_SHARE = 2 / 3  # of a stream's greatest age: from then on, the next final text or pause renews it
FORCED_RENEW_SHARE = 29 / 30  # of a stream's greatest age: renewed in any case
HOLD_TIMEOUT = 5.0  # seconds without audio after which a stream is ended; less if the provider's limit is lower
STALL_TIMEOUT = 30.0  # seconds without a result after which a stream is renewed: silence, music or a hang
DRAIN_TIMEOUT = 4.0  # seconds for the last results after the end; official samples need about one
PRE_ROLL_SECONDS = 1.0  # of audio before the cut that the new stream gets: longer than any word
OVERLAP_SECONDS = 0.5  # of audio that the old stream gets after the new one began, which may yet fail to open
REQUEST_SECONDS = 0.1  # of audio in a request, as Google recommends
BURST_SECONDS = 1.0  # of audio that a new stream may get at once
PAUSE_SECONDS = 0.4  # of audio in which there is a pause worth a cut
QUIET_SECONDS = 0.16  # the same where the cut is at the end of this audio: the shortest pause that is worth a cut
MAX_PAUSE_LEVEL = 150.0  # mean absolute sample of a pause, of 32768: -47 dB
CUT_SEARCH_SECONDS = 4.0  # of audio that are searched for the quietest place when a cut cannot wait
MAX_BUFFER_SHARE = 0.75  # of the buffer: with more audio than that without a final text, the stream is renewed


@dataclass(eq=False)
class StreamingTrack:
    """Takes the audio of one track and writes its texts to ``transcript``; `poll` does all the work.

    `poll` raises `Rejected`. ``due`` is the time for the next `poll`. ``gave_up`` turns true when a fallback engine
    should go on with the `remaining_audio`. ``wake`` is called from any thread when an event came.
    """

    engine: Streamer
    buffer: ReplayBuffer
    transcript: TrackTranscript
    report: Report
    wake: Callable[[], None]
    retry: RetryPolicy
    interim: bool
    has_fallback: bool
    usage: Usage = field(default_factory=Usage)
    phrases: tuple[str, ...] = ()
    gave_up: bool = False

    def __post_init__(self) -> None:
        self._limits = self.engine.limits
        self._rate = self.buffer.rate
        self._shares_audio = self._limits.word_times
        self._pre_roll = PRE_ROLL_SECONDS if self._shares_audio else 0.0
        self._overlap = OVERLAP_SECONDS if self._shares_audio else 0.0
        self._pause = PAUSE_SECONDS if self._shares_audio else QUIET_SECONDS
        self._hold_timeout = min(HOLD_TIMEOUT, self._limits.idle / 2)
        self._events: SimpleQueue[tuple[RolloverStream, Result | Ended]] = SimpleQueue()  # from any thread
        self._streams: list[RolloverStream] = []  # in the order of their audio; only the last may have no stop
        self._final_to: int | None = None  # position up to which all texts are final; None before the first chunk
        self._attribution = WordAttribution(self._rate)
        self._last_audio = -inf
        self._close_by = inf

    def push(self, chunk: Audio) -> None:
        """Take the next audio."""
        if self._final_to is None:
            self._final_to = chunk.start
        self.buffer.add(chunk)
        self._last_audio = self.transcript.now()

    def finish(self, by: float) -> None:
        """End the audio. The track is busy until all texts are final, or until the monotonic time ``by``."""
        self._close_by = by

    def busy(self) -> bool:
        return self._close_by < inf and not self.gave_up and (bool(self._streams) or self._has_audio_left)

    def close(self) -> None:
        """Cancel all streams and free the audio: callbacks of streams may keep this object alive for long."""
        self._cancel_from(0)
        self.buffer.trim(self.buffer.end)

    def remaining_audio(self) -> list[Audio]:
        """Return the audio without a final text."""
        self._mark_lost()
        return list(self.buffer.chunks(self._final_end, self.transcript.track))

    def poll(self) -> None:
        """Handle the events that came, and do the work that is due. Raises `Rejected`."""
        now = self.transcript.now()
        while not self._events.empty():
            stream, event = self._events.get()
            if stream in self._streams:
                self._on_event(stream, event, now)
        for stream in [stream for stream in self._streams if stream.drain_by <= now]:
            if stream in self._streams:
                self._fail(stream, Unavailable(f"no end within {DRAIN_TIMEOUT:g} s"), now)
        if self.gave_up:
            return
        self._renew(now)
        self._feed(now)
        if now >= self._close_by and self.busy():
            self._cancel_from(0)
            self._mark_gap(self._final_end, self.buffer.end)

    @property
    def due(self) -> float:
        """Monotonic time of the next `poll` if no event comes; ``inf`` for none."""
        now = self.transcript.now()
        times = [stream.drain_by for stream in self._streams]
        fed = [stream for stream in self._streams if stream.drain_by == inf]
        if any(self._input_ended(stream, now) for stream in fed):
            times.append(now)
        least = REQUEST_SECONDS * self._rate if self._audio_arriving(now) else 1
        if any(self._available_to(stream) - stream.sent >= least for stream in fed):
            times.append(now + REQUEST_SECONDS)
        if fed:
            marks = [self._last_audio + 2 * REQUEST_SECONDS, self._last_audio + self._hold_timeout]
            marks += [stream.opened + FORCED_RENEW_SHARE * self._limits.max_stream for stream in fed]
            times += [when for when in marks if when > now]
        elif self._has_audio_left:
            times.append(max(self.retry.retry_at, now + REQUEST_SECONDS))
        if self.busy():
            times.append(self._close_by)
        return min(times, default=inf)

    # Events of streams.

    def _on_event(self, stream: RolloverStream, event: Result | Ended, now: float) -> None:
        stream.last_event = now
        if isinstance(event, Result):
            self.retry.succeeded()
            stream.results.append(event)
        elif event.error is None and stream.drain_by < inf:
            stream.over = True
        self._write_results(now)
        if isinstance(event, Ended) and not stream.over:
            self._fail(stream, event.error or Expired("the provider ended the stream"), now)

    def _write_results(self, now: float) -> None:
        """Write the results of the first stream; once it is over, those of the next one, which had to wait for it."""
        while self._streams:
            stream = self._streams[0]
            for result in stream.results:
                self._write(stream, result, now)
            stream.results.clear()
            if not stream.over:
                return
            self._advance(stream.sent if stream.cut is None else min(stream.sent, stream.cut))
            end = self._final_end / self._rate
            self.transcript.final(end, end, "")  # takes back an interim text that never became final
            self._streams.remove(stream)

    def _write(self, stream: RolloverStream, result: Result, now: float) -> None:
        own = self._attribution.own_words(stream, result, self._final_end / self._rate)
        if not result.final:
            if self.interim and own.last is not None and stream.cut is None:
                self.transcript.interim(own.start, own.end, own.text, own.words, result.confidence)
            return
        self._attribution.accept(stream, own)
        self.transcript.final(own.start, own.end, own.text, own.words, result.confidence)
        position = min(stream.sent, stream.begin + round(result.end * self._rate))
        self._advance(position if stream.cut is None else min(position, stream.cut))
        if stream is self._fed_without_stop and self._age(stream, now) >= RENEW_SHARE * self._limits.max_stream:
            self._roll_over(stream, self._final_end, now)

    def _fail(self, stream: RolloverStream, error: StreamError, now: float) -> None:
        """Cancel a failed stream and those after it; later streams get their audio again."""
        if isinstance(error, Rejected):
            self._cancel_from(0)
            raise error
        self.report.event("stream_failed", reason=type(error).__name__, detail=str(error)[:200])
        number = self._streams.index(stream)
        self._cancel_from(number)
        if number and self._streams[-1].drain_by == inf:
            self._streams[-1].cut = self._streams[-1].stop = None  # instead of being renewed, the stream goes on
        if self.retry.failed(error, now - stream.opened, now) and self.has_fallback:
            self.report.event("fallback_started", reason=type(error).__name__)
            self._cancel_from(0)
            self.gave_up = True

    # Audio for streams.

    def _renew(self, now: float) -> None:
        """Begin, end or renew the stream that is fed, if its time has come."""
        stream = self._fed_without_stop
        if stream is None:
            start = self._streams[-1].cut if self._streams else None
            if now >= self.retry.retry_at:
                self._open_stream(self._final_end if start is None else start, now)
            return
        if self._input_ended(stream, now):
            stream.cut = stream.stop = stream.sent
            return
        if len(self._streams) > 1 or now < self.retry.retry_at:
            return
        age, max_age, buffer = self._age(stream, now), self._limits.max_stream, self.buffer
        if self._close_by < inf and age < FORCED_RENEW_SHARE * max_age:
            return  # the call is about to end, and the stream lasts until then
        oldest = max(stream.begin, buffer.lost)
        tail = max(oldest, stream.sent - round(self._pause * self._rate))
        if age >= RENEW_SHARE * max_age and stream.sent - tail >= self._pause * self._rate:
            cut, level = buffer.quietest(tail, stream.sent)
            if level <= MAX_PAUSE_LEVEL:
                self._roll_over(stream, cut if self._shares_audio else stream.sent, now)
                return
        full = (stream.sent - self._final_end) > MAX_BUFFER_SHARE * buffer.max_seconds * self._rate
        waited = min(now - stream.last_event, (stream.sent - stream.begin) / self._rate)
        if age >= FORCED_RENEW_SHARE * max_age or full or waited >= STALL_TIMEOUT:
            first = max(oldest, self._final_end, stream.sent - round(CUT_SEARCH_SECONDS * self._rate))
            cut, _ = buffer.quietest(first, stream.sent)
            self._roll_over(stream, cut if self._shares_audio else stream.sent, now)

    def _open_stream(self, position: int, now: float) -> None:
        """Open a stream whose words count from ``position`` on, if there is audio."""
        if not self._streams:
            position = self._mark_lost()
        found = self.buffer.stretch(position)
        if found is None or self.buffer.lost > position:  # lost audio is marked after the texts before it
            return
        stream = RolloverStream(max(found[0], position - round(self._pre_roll * self._rate)), now)
        phrases = (self.phrases,) if self.phrases else ()
        stream.stream = self.engine.stream(self.buffer.encoding, self._rate, partial(self._receive, stream), *phrases)
        self._streams.append(stream)

    def _receive(self, stream: RolloverStream, event: Result | Ended) -> None:  # in any thread
        self._events.put((stream, event))
        self.wake()

    def _roll_over(self, stream: RolloverStream, cut: int, now: float) -> None:
        stream.cut, stream.stop = cut, stream.sent + round(self._overlap * self._rate)
        self._open_stream(cut, now)

    def _feed(self, now: float) -> None:
        for stream in self._streams:
            if stream.drain_by < inf:
                continue
            end = self._available_to(stream)
            last = self.buffer.stretch(end) is not None or not self._audio_arriving(now)  # no audio continues it now
            if stream.stop is not None and stream.sent == end and last:
                stream.stop = end
            allowed = BURST_SECONDS + self._limits.pace * (now - stream.opened)
            upto = min(end, stream.begin + round(allowed * self._rate))
            if (upto == end and last) or upto - stream.sent >= round(REQUEST_SECONDS * self._rate):
                self._send(stream, upto)
            if stream.stop is not None and stream.sent >= stream.stop:
                stream.drain_by = now + DRAIN_TIMEOUT
                stream.stream.end()

    def _send(self, stream: RolloverStream, upto: int) -> None:
        most = self._limits.max_request // (2 if self.buffer.encoding == "s16" else 1)
        while stream.sent < upto:
            to = min(upto, stream.sent + most)
            stream.stream.send(self.buffer.read(stream.sent, to))
            self.usage.add((to - stream.sent) / self._rate)
            stream.sent = to

    # State of the track.

    @property
    def _final_end(self) -> int:
        return self._final_to or 0

    @property
    def _has_audio_left(self) -> bool:
        """Whether there is audio without a final text."""
        return self.buffer.stretch(self._final_end) is not None

    @property
    def _fed_without_stop(self) -> RolloverStream | None:
        """The stream that is fed and has no stop yet."""
        return self._streams[-1] if self._streams and self._streams[-1].stop is None else None

    def _age(self, stream: RolloverStream, now: float) -> float:
        return max(now - stream.opened, (stream.sent - stream.begin) / self._rate)

    def _audio_arriving(self, now: float) -> bool:
        """Whether the track has audio at this moment, not a hold or the end."""
        return self._close_by == inf and now < self._last_audio + 2 * REQUEST_SECONDS

    def _available_to(self, stream: RolloverStream) -> int:
        """Position up to which there is audio for the stream."""
        found = self.buffer.stretch(stream.sent)
        end = stream.sent if found is None or found[0] > stream.sent else found[1]
        return end if stream.stop is None else min(end, stream.stop)

    def _input_ended(self, stream: RolloverStream, now: float) -> bool:
        """Whether no audio will follow directly on the audio that was sent."""
        if self._available_to(stream) > stream.sent:
            return False
        more = self.buffer.stretch(stream.sent) is not None
        return more or self._close_by < inf or now >= self._last_audio + self._hold_timeout

    def _advance(self, position: int) -> None:
        """Trim the buffer: texts up to ``position`` are final."""
        self._final_to = max(self._final_end, position)
        self.buffer.trim(self._final_to - round(PRE_ROLL_SECONDS * self._rate))

    def _mark_lost(self) -> int:
        """Mark the audio that left the buffer without a final text; return the position after it."""
        if self.buffer.lost > self._final_end:
            self._mark_gap(self._final_end, self.buffer.lost)
        return self._final_end

    def _mark_gap(self, start: int, end: int) -> None:
        self.transcript.gap(start / self._rate, end / self._rate, UNTRANSCRIBED)
        self.report.dropped(UNTRANSCRIBED, (end - start) / self._rate)
        self._advance(end)

    def _cancel_from(self, first: int) -> None:
        """Cancel the streams from this one on."""
        for stream in self._streams[first:]:
            stream.stream.cancel()
        del self._streams[first:]
