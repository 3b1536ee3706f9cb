"""Drive a `Decoder` for one node: cut each track into utterances, which the decoders that all calls share decode.

The driver requests interim texts as often as the graph says, while there is new voice. Final texts are never left out;
if one cannot be had, the transcript marks a gap.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from flowcore import Audio, Emit, Resource, Text
from flowcore.environment import worker_count
from flowcore.events import DECODERS_STARTED
from flowcore.metrics import Histogram, Metric
from flowcore.speech import DECODER_RATE, Decoded, DecodeFailed, Decoder, Rejected
from nodes.speech.driver import FLUSH_TIMEOUT, UNTRANSCRIBED, DriverHost, TrackTranscript, Transcripts
from nodes.speech.local.context import Context
from nodes.speech.local.decode_queue import DecodeJob, Outcome, Overloaded
from nodes.speech.local.decoder_pool import DecoderPool
from nodes.speech.local.decoder_process import DecoderProcess
from nodes.speech.local.segmenter import Segment, Segmenter, SegmentLimits
from nodes.speech.local.voice_detector import VoiceModel
from nodes.speech.usage import AUDIO_SENT, DECODER_LOAD, DECODER_WAIT

HOLD_TIMEOUT = 1.5  # seconds without audio after which an utterance is over: a track on hold has none
MAX_LATENESS = 0.2  # seconds: a later alarm hints at a stall, and gives the audio that may be waiting this much time
MAX_LEAD = 10.0  # seconds that a call's audio may be ahead of real time before its source counts as able to wait
MAX_WAITING_SECONDS = 30.0  # of audio that such sources, in equal shares, leave waiting: they go no faster than decoded
MAX_BLOCKED_SECONDS = 5.0  # for which one chunk of them waits: the watchdog takes a thread for stuck after 10 s
TELL_INTERVAL = 10.0  # seconds between two events about skipped utterances of a call
REMOTE_DECODERS = 16  # in threads: at a second for each answer, 50 parties that talk half of the time
CLOSE_TIMEOUT = 5.0  # seconds; a killed process ends at once
FIRST_INTERIM = 0.75  # seconds of audio for the first interim text: half of them are before the voice
INTERIM_GROWTH = 1.0  # audio with new voice for the next interim text, as a share of that before, decoded again
MIN_SPEECH_SECONDS = 0.1  # models make up words for less
UNSURE_VOICE = 0.75  # mean probability of voice below which `NOISE` is no speech: 0.6 in music, 0.9 in a lone "You"
NO_WORDS = Decoded("")
SYMBOLS = re.compile(r"[\W_]*")  # such as ♪♪♪ for music
NOISE = re.compile(r"\W*(thank )?you\W*", re.IGNORECASE)  # what models write for sounds without words


@dataclass(unsafe_hash=True)
class DecoderResource(Resource):
    """The resource of `transcribe` for the decoder ``cls``; equal for the same engine and settings."""

    cls: type[Decoder]
    config: Any = None
    processes: int = 0
    """Number of decoders that run at once; 0 for one per core, or `REMOTE_DECODERS`."""
    max_wait: float = 15.0
    """Seconds that an utterance may wait."""
    voice: VoiceModel = field(init=False, compare=False)
    pool: DecoderPool = field(init=False, compare=False)

    def open(self) -> None:
        self.voice = VoiceModel()
        decoders: list[Decoder]
        if self.cls.remote:
            decoders = [self.cls(self.config) for _ in range(self.processes or REMOTE_DECODERS)]
        else:
            decoders = [DecoderProcess(self.cls, self.config) for _ in range(self.processes or cores())]
        self.pool = DecoderPool(decoders, self.max_wait)
        self.report.event(DECODERS_STARTED.name, model=self.cls(self.config).model, processes=len(decoders))

    def close(self) -> None:
        self.pool.close(CLOSE_TIMEOUT)

    def measure(self) -> dict[Metric, float | Histogram]:
        return {
            AUDIO_SENT: self.pool.queue.taken,
            DECODER_WAIT: self.pool.queue.waits,
            DECODER_LOAD: self.pool.load,
        }

    def load(self) -> dict[str, float]:
        return {"decoders": self.pool.load}


def cores() -> int:
    """Return this worker process's share of the usable cores, at least 1."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // worker_count())


@dataclass(eq=False)
class _TrackState:
    """A track: its segmenter, its transcript, and the requests for its open utterance."""

    transcript: TrackTranscript
    segmenter: Segmenter
    audio_at: float = 0.0  # monotonic time of its last audio
    requested_to: int = 0  # position up to which text was requested
    interim: _DecodeRequest | None = None  # the last request for an interim text, until its outcome comes
    context: Context | None = None  # of the next utterance


@dataclass(eq=False)
class _DecodeRequest:
    """A request for the text of a segment."""

    track: _TrackState
    segment: Segment
    final: bool
    number: int
    """Of the call: texts that come together are emitted in the order of their requests."""
    answered: bool = False
    """Set once the node knows of the outcome."""

    def drop_samples(self) -> None:
        """Free the audio, 32 KB per second: it will not be decoded."""
        self.segment = replace(self.segment, samples=self.segment.samples[:0].copy())


@dataclass(eq=False)
class UtteranceDriver:
    """The tracks of one node of one call. ``interim`` is the seconds of speech between interim texts; 0 for none.

    ``phrases`` are words of the call to expect; empty for a decoder that takes none. ``flow`` is the id of the flow.

    `push` blocks, for 5 s at most, while much audio of a call that comes faster than real time waits. `collect` emits
    the texts.
    """

    host: DriverHost
    resource: DecoderResource
    limits: SegmentLimits
    interim: float
    transcripts: Transcripts
    phrases: tuple[str, ...] = ()
    flow: str = ""

    def __post_init__(self) -> None:
        self._queue = self.resource.pool.queue
        self._tracks: dict[str, _TrackState] = {}
        self._numbers = count()
        self._results: SimpleQueue[tuple[_DecodeRequest, Outcome]] = SimpleQueue()  # from the decoders' threads
        self._pending: dict[_DecodeRequest, None] = {}  # final texts still to come, in order
        self._close_by = inf
        self._began: float | None = None  # when second 0 of the call was, in monotonic real time
        self._patient = False  # whether the source can wait: it says so, or is faster than real time
        self._skipped = 0  # utterances that nobody was told of yet
        self._skipped_seconds = 0.0
        self._tell_at = -inf
        self._rejected: Rejected | None = None

    def push(self, chunk: Audio) -> None:
        track = self._tracks.get(chunk.track) or self._new_track(chunk.track)
        track.transcript.arrived(chunk)
        track.audio_at = self.host.now()
        if self._began is None:
            self._began = monotonic() - chunk.start / chunk.rate
        lead = chunk.end / chunk.rate - (monotonic() - self._began)
        self._patient = self.host.source_waits() or lead > MAX_LEAD
        self._take_results()
        for segment in track.segmenter.push(chunk):
            self._request(track, segment, final=True)
        self._request_interim(track)
        if self._patient:
            self._wait_for_decoders()

    def change(self, limits: SegmentLimits, interim: float, phrases: tuple[str, ...]) -> None:
        self.limits, self.interim, self.phrases = limits, interim, phrases
        for track in self._tracks.values():
            track.segmenter.change(limits)

    def flush(self, by: float) -> None:
        """End all utterances with their last sample."""
        self._close_by = by
        for track in self._tracks.values():
            self._end(track)
        self._queue.hurry(self)

    def busy(self) -> bool:
        return bool(self._pending)

    def awaits_results(self) -> bool:
        interim = (track.interim for track in self._tracks.values() if track.interim is not None)
        return not all(request.answered for request in (*self._pending, *interim))

    def collect(self, emit: Emit[Text]) -> None:
        """Emit the texts that came, and end the utterances of tracks on hold.

        Raises `Rejected`, once all open and waiting utterances are marked as gaps.
        """
        self._take_results()
        if self._rejected is not None:
            for track in self._tracks.values():
                self._end(track)
            self._give_up()
        now = self.host.now()
        for track in self._speaking_tracks():
            late = now - track.audio_at - HOLD_TIMEOUT
            if late > MAX_LATENESS:
                track.audio_at = now - HOLD_TIMEOUT + MAX_LATENESS
            elif late >= 0:
                self._end(track)
        if now >= self._close_by:
            if self.host.source_waits():
                self._close_by = now + FLUSH_TIMEOUT
            else:
                self._give_up()
        due = min((track.audio_at + HOLD_TIMEOUT for track in self._speaking_tracks()), default=inf)
        self.host.alarm(min(due, self._close_by) if self._pending else due)
        if self._skipped and (now >= self._tell_at or (self._close_by < inf and not self._pending)):
            self._tell_skipped(now)
        for track in self._tracks.values():
            for text in track.transcript.take():
                emit(text)
        if self._rejected is not None:
            raise self._rejected

    def close(self) -> None:
        """Discard the waiting jobs."""
        self._queue.discard(self)
        self._tracks.clear()  # breaks the cycle with the node, which would keep the audio alive

    def _new_track(self, name: str) -> _TrackState:
        segmenter = Segmenter(self.resource.voice.detector(), self.limits)
        return self._tracks.setdefault(name, _TrackState(self.transcripts[name], segmenter))

    def _speaking_tracks(self) -> Iterator[_TrackState]:
        return (track for track in self._tracks.values() if track.segmenter.speaking)

    def _wait_for_decoders(self) -> None:
        """Block while more than this call's share of audio waits."""
        until = monotonic() + MAX_BLOCKED_SECONDS
        while self._pending_seconds > MAX_WAITING_SECONDS / max(1, self._queue.owners) and monotonic() < until:
            with suppress(Empty):
                self._take(*self._results.get(timeout=max(0.0, until - monotonic())))
            for track in self._tracks.values():  # no track could deliver audio meanwhile
                track.audio_at = self.host.now()

    @property
    def _pending_seconds(self) -> float:
        """Seconds of audio whose final texts are still to come."""
        return sum(request.segment.seconds for request in self._pending)

    def _request_interim(self, track: _TrackState) -> None:
        segmenter = track.segmenter
        if self.interim and segmenter.speaking:
            known = max(0, track.requested_to - segmenter.start)
            if segmenter.voiced_to - segmenter.start - known >= self._interim_step(known):
                self._request(track, segmenter.so_far(), final=False)

    def _interim_step(self, known: int) -> float:
        """Return the samples with new voice that make an interim text due when ``known`` samples have one."""
        return max(self.interim * DECODER_RATE, INTERIM_GROWTH * known) if known else FIRST_INTERIM * DECODER_RATE

    def _end(self, track: _TrackState) -> None:
        if (segment := track.segmenter.end()) is not None:
            self._request(track, segment, final=True)

    def _request(self, track: _TrackState, segment: Segment, *, final: bool) -> None:
        request = _DecodeRequest(track, segment, final, next(self._numbers))

        def done(outcome: Outcome) -> None:  # in a decoder's thread
            self._results.put((request, outcome))
            self.host.wake()
            request.answered = True

        track.requested_to = segment.end
        context = self._context(track, segment) if final else None  # up to 10 s more to decode
        job = DecodeJob(
            self,
            track,
            segment.samples,
            final,
            done,
            self._report_death,
            request.drop_samples,
            context,
            self._patient,
            self.phrases,
            self.flow,
        )
        if self._queue.put(job):
            self.host.report.dropped("stale_interim")
        track.interim = None if final else request
        if final:
            self._pending[request] = None

    def _report_death(self, cause: str) -> None:
        self.host.report.event("decoder_replaced", cause=cause)

    def _take_results(self) -> None:
        came = []
        while not self._results.empty():
            came.append(self._results.get())
        for request, outcome in sorted(came, key=lambda result: result[0].number):  # whichever decoder was faster
            self._take(request, outcome)

    def _take(self, request: _DecodeRequest, outcome: Outcome) -> None:
        track, segment = request.track, request.segment
        if track.interim is request:
            track.interim = None
        if isinstance(outcome, Rejected):
            self._rejected = outcome
        if request.final:
            if request not in self._pending:  # the driver gave it up
                return
            del self._pending[request]
            if isinstance(outcome, Decoded):
                self._final(track, segment, outcome)
            elif isinstance(outcome, Overloaded):
                self._drop(request, "overloaded")
                self._skipped += 1
                self._skipped_seconds += segment.seconds
            elif isinstance(outcome, DecodeFailed):
                self.host.report.event("decode_failed", cause=outcome)
                self._drop(request, "decode_failed")
            else:
                self._drop(request, UNTRANSCRIBED)
        elif isinstance(outcome, Decoded) and segment.start >= track.segmenter.start:  # else the utterance has ended
            track.transcript.interim(*segment.spoken, _without_invention(segment, outcome).text)

    def _final(self, track: _TrackState, segment: Segment, decoded: Decoded) -> None:
        heard = _without_invention(segment, decoded)
        words = tuple(word.moved(segment.start / DECODER_RATE) for word in heard.words)
        track.transcript.final(*segment.spoken, heard.text, words, heard.confidence, heard.language)
        before = track.context if track.context and track.context.leads_to(segment) else None
        track.context = Context.after(before, segment, heard.text)

    def _context(self, track: _TrackState, segment: Segment) -> Context | None:
        """The context to decode a segment with, if the segment has little speech."""
        short = segment.voice_seconds <= self.limits.enough
        return track.context if short and track.context and track.context.leads_to(segment) else None

    def _drop(self, request: _DecodeRequest, reason: str) -> None:
        self.host.report.dropped(reason, request.segment.seconds)
        request.track.transcript.gap(*request.segment.spoken, UNTRANSCRIBED)

    def _tell_skipped(self, now: float) -> None:
        seconds = round(self._skipped_seconds, 1)
        self.host.report.event("utterances_skipped", utterances=self._skipped, seconds=seconds)
        self._skipped, self._skipped_seconds = 0, 0.0
        self._tell_at = now + TELL_INTERVAL

    def _give_up(self) -> None:
        """Mark the final texts that are still pending as gaps."""
        self._queue.discard(self)
        for track in self._tracks.values():
            track.interim = None
        for request in self._pending:
            self._drop(request, UNTRANSCRIBED)
        self._pending.clear()


def _without_invention(segment: Segment, decoded: Decoded) -> Decoded:
    """Return ``decoded``, without words if the model made them up."""
    made_up = segment.voice_seconds < MIN_SPEECH_SECONDS or SYMBOLS.fullmatch(decoded.text)
    if made_up or (segment.voice_mean < UNSURE_VOICE and NOISE.fullmatch(decoded.text)):
        return NO_WORDS
    return decoded
