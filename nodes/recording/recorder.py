"""The part of a recorder that is the same for every container: the clock, the disk's troubles, and when to sync."""

from __future__ import annotations

import errno
import math
from abc import abstractmethod
from functools import cache
from typing import Any, Literal, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flowcore import Audio, CannotStart, Config, Duration, PathTemplate, Report, Resource, Session, Sink, Size
from flowcore.audio import SILENCE, TRACKS
from flowcore.events import FILE_FINISHED, FILE_REPAIRED, HOLE, LATE, REPAIR_FAILED, EventType, Reason
from flowcore.files import PARTIAL_SUFFIX, Folder, free_space
from nodes.recording import journal, segment
from nodes.recording.containers import CannotRepair, Container
from nodes.recording.segment import Segment

PIECE = 1 << 14  # frames of silence written at once, so that a long hold needs no large array
RETRY = 5.0
"""Seconds of the call after which a disk that refused is asked again."""
FULL = {errno.ENOSPC, errno.EDQUOT}


class Keeping(Config):
    """How a recording is kept, whatever its container."""

    path: PathTemplate
    """Where the file goes, with fields of the session in it; directories are made."""

    max: Size = Field(Size("2GiB"), ge=Size("4KiB"), le=Size("2GiB"))
    """Size at which the next file begins; more than 2GiB is misread by many readers (their sizes are signed)."""

    length: Duration | None = Field(None, ge=Duration("1s"))
    """Length at which the next file begins; left out: none."""

    fsync: Duration | Literal["always", "end"] = Duration("5s")
    """How much a power cut may take: what came within this time, nothing (``always``: a sync for each chunk), or all
    (``end``: one sync, when the file is complete). A killed process loses nothing in any case."""

    min_free: Size = Size("200MiB")
    """Room that must be left on the disk for a recording to begin; those that run go on until the disk is full."""


KeepingT = TypeVar("KeepingT", bound=Keeping)


class Recorder(Sink[Audio, KeepingT]):
    """Writes files whose samples lie where the flow's clock says. No disk makes it raise once it is open.

    A disk that is full, or fails, costs the recording what cannot be written, counted as ``disk_full`` or
    ``disk_failed``, and nobody else anything.
    """

    runs = "thread"
    loss = "forbidden"
    events = (
        FILE_FINISHED,
        FILE_REPAIRED,
        REPAIR_FAILED,
        EventType("file_unfinished", "A file could not be completed; it keeps ``.part``.", "error", path="", detail=""),
        EventType("file_damaged", "A disk lost audio; the file is set aside.", "error", path="", detail=""),
        EventType("metadata_failed", "The JSON beside a file could not be written.", "warning", path="", detail=""),
        EventType("recording_suspended", "The disk is full or fails; audio is dropped.", "error", detail=""),
        EventType("recording_resumed", "The recording goes on in another file.", "warning", seconds="Lost seconds."),
    )
    reasons = (
        LATE,
        HOLE,
        Reason("disk_full", "The disk was full."),
        Reason("disk_failed", "The disk refused to write."),
    )

    def __init__(self, config: KeepingT) -> None:
        super().__init__(config)
        self._session: Session
        self._segment: Segment | None = None
        self._form: tuple[str, int, int] | None = None  # encoding, rate, channels: the first chunk's, then all chunks'
        self._parties: tuple[str, ...] = ()
        self._max = int(config.max)
        self._longest = 1 << 62  # frames of a segment
        self._position = 0  # on the flow's clock: frames before this one are in a file, or dropped
        self._number = 0  # of the segment
        self._previous = ""  # the segment before it
        self._dropped: dict[str, float] = {}  # since the segment began, seconds by reason
        self._why = ""  # why nothing is recorded now
        self._lost_from = 0  # since when
        self._again = 0  # when to try again
        self._sync_at: float | None = None
        self._spread = 1.0  # part of `fsync` until the next sync

    @classmethod
    def make_resource(cls, config: KeepingT) -> Resource:
        return Folder(config.path.root, alone=True)

    @classmethod
    @abstractmethod
    def keeps(cls, config: KeepingT) -> type[Container]:
        """The container that this config asks for."""

    @classmethod
    def recover(cls, config: KeepingT, report: Report) -> None:
        segment.recover(config.path, cls.keeps(config), report)

    def open(self, session: Session) -> None:
        self._session = session
        # Calls that begin together, as after a restart, must not keep the disk and the processor busy together.
        self._spread = crc32(session.flow.encode()) / (1 << 32)
        try:
            self._begin(floor=True)
        except OSError as error:
            if error.errno not in FULL:
                text = f"cannot write to {self.config.path.resolve(session)}: {error.strerror}"
                raise CannotStart(f"{text}; give a path in a directory that you may write to", field="path") from error
            self._stop(error)

    def process(self, chunk: Audio) -> None:
        form = (chunk.encoding, chunk.rate, chunk.channels)
        if form != self._form:
            self._adopt(form, chunk.track)
        if self._why and not self._resume(chunk):
            return
        hole = chunk.start - self._position
        if hole > 0:
            self.report.filled("hole", hole / chunk.rate * chunk.channels)
        elif hole:
            late = min(-hole, chunk.frames)
            self._drop("late", late, chunks=int(late == chunk.frames))
        for last in (False, True):  # what one file does not take, the next one may
            try:
                done = self._position - chunk.start
                if done < 0:
                    self._fill_to(chunk.start)
                self._write(chunk.samples[done:] if done > 0 else chunk.samples)
                break
            except OSError as error:
                self._give_up(error)
                if last or error.errno in FULL:
                    self._stop(error)
                    self._drop(self._why, chunk.end - max(self._position, chunk.start))
                    return
        if self._sync_at is None:
            if self.config.fsync == "always":
                self._sync()
            else:
                every = self.config.fsync
                self._sync_at = math.inf if every == "end" else self.now() + self._spread * every
                self._spread = 1.0
                self.alarm(self._sync_at)

    def collect(self) -> None:
        if self._sync_at is not None and self.now() >= self._sync_at:
            self._sync_at = None
            self._sync()

    def close(self) -> None:
        if self._segment is not None:
            self._finish("call")

    # The files.

    def _adopt(self, form: tuple[str, int, int], track: str) -> None:
        if self._form is not None:
            raise ValueError(f"the sound changed from {self._form} to {form}: a file holds one format")
        encoding, rate, channels = self._form = form
        self._parties = TRACKS if channels == 2 else (track or "mix",)
        if self.config.length is not None:
            self._longest = self.config.length.samples(rate)
        if self._segment is not None:
            try:
                self._segment.begin(encoding, rate, channels, self._parties)
            except OSError as error:
                self._give_up(error)

    def _begin(self, *, floor: bool = False) -> Segment:
        """The next file, for what comes at the position; with ``floor`` only if there is room to spare."""
        if floor and (free := free_space(self.config.path.root)) < self.config.min_free:
            raise OSError(errno.ENOSPC, f"{free >> 20} MiB are free, and min_free is {self.config.min_free}")
        start = self._position / self._form[1] if self._form else 0.0
        new = Segment(self.config.path, self._session, self.keeps(self.config), self._number + 1, self._previous, start)
        if self._form is not None:
            encoding, rate, channels = self._form
            try:
                new.begin(encoding, rate, channels, self._parties)
                if self._why and self._position > self._lost_from:
                    new.note(journal.Gap(round(self._lost_from / rate, 6), round(start, 6), self._why))
            except OSError:
                new.discard()
                raise
        self._number += 1
        self._segment = new
        return new

    def _fill_to(self, start: int) -> None:
        """Silence up to a position, and a note of it."""
        if start > self._position and self._form is not None:
            rate = self._form[1]
            (self._segment or self._begin()).note(journal.Hold(round(self._position / rate, 6), round(start / rate, 6)))
            piece = _silence(self._form[0], self._form[2])
            while start > self._position:
                self._write(piece[: start - self._position])

    def _write(self, samples: NDArray[Any]) -> None:
        """Append frames, in the next file where this one is full."""
        wanted = len(samples)
        while wanted:
            file = self._segment or self._begin()
            fits, left = file.room(self._max), self._longest - file.frames
            if fits <= 0 or left <= 0:
                self._finish("max" if fits <= 0 else "length")
                continue
            if wanted <= fits and wanted <= left:
                file.write(samples)
                self._position += wanted
                return
            piece = samples[: min(fits, left)]
            file.write(piece)
            self._position += len(piece)
            samples = samples[len(piece) :]
            wanted = len(samples)

    def _sync(self) -> None:
        if self._segment is not None:
            try:
                self._segment.sync()
            except OSError as error:
                self._give_up(error)

    def _finish(self, end: str) -> None:
        file, self._segment = self._segment, None
        if file is None:
            return
        tail = journal.Tail(end, {reason: round(seconds, 6) for reason, seconds in self._dropped.items()})
        self._dropped = {}
        try:
            done = file.finish(tail, self.report)
        except (OSError, CannotRepair) as error:
            self.report.event("file_unfinished", path=str(file.path), detail=str(error))
            return
        if done is not None:
            path, seconds = done
            if self._form and (missing := file.frames - round(seconds * self._form[1])) > 0:
                self._drop(end, missing, chunks=0)  # an encoder still held it
            self._previous = path.name
            self.report.event("file_finished", path=str(path))

    # The disk's troubles.

    def _give_up(self, error: OSError) -> None:
        """The disk refused. A full one has kept what was written; another has lost nobody knows how much."""
        file, self._segment = self._segment, None
        if file is None:
            return
        if not file.frames:
            file.discard()
        elif error.errno in FULL or error.errno == errno.EFBIG:  # the latter: its owner's limit for one file
            self._segment = file
            self._finish(_reason(error))
        else:
            path = file.leave()
            self._previous = path.name.removesuffix(PARTIAL_SUFFIX)
            self.report.event("file_damaged", path=str(path), detail=str(error))

    def _stop(self, error: OSError) -> None:
        """Record nothing for a while."""
        self._why = _reason(error)
        self._lost_from = self._position
        self._again = self._position + self._pause()
        self.report.event("recording_suspended", detail=str(error))

    def _resume(self, chunk: Audio) -> bool:
        """Whether it can go on, in a new file that begins with this chunk."""
        if chunk.start >= self._again:
            position, self._position = self._position, max(self._position, chunk.start)
            try:
                self._begin(floor=True)
            except OSError:
                self._position = position
                self._again = chunk.start + self._pause()
            else:
                self._why = ""
                lost = (self._position - self._lost_from) / chunk.rate
                self.report.event("recording_resumed", seconds=round(lost, 3))
                return True
        self._drop(self._why, chunk.frames)
        return False

    def _pause(self) -> int:
        return round(RETRY * self._form[1]) if self._form else 0

    def _drop(self, why: str, frames: int, chunks: int = 1) -> None:
        if self._form is not None:
            seconds = frames / self._form[1]
            self._dropped[why] = self._dropped.get(why, 0.0) + seconds
            self.report.dropped(why, seconds * self._form[2], chunks=chunks)


def _reason(error: OSError) -> str:
    return "disk_full" if error.errno in FULL or error.errno == errno.EFBIG else "disk_failed"


@cache
def _silence(encoding: str, channels: int) -> NDArray[Any]:
    """A piece of silence, of shape ``(PIECE,)`` or ``(PIECE, channels)``; it holds one sample, for all calls."""
    frame = np.array(SILENCE[encoding], np.uint8 if encoding == "mulaw" else np.int16)
    return np.broadcast_to(frame, (PIECE,) if channels == 1 else (PIECE, channels))
