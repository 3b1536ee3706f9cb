"""Base class of the recorders: positions on the flow's clock, disk errors, and syncing, for every container."""

from __future__ import annotations

import errno
import math
from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flowcore import Audio, Config, Duration, PathTemplate, Report, Resource, Session, Sink, Size
from flowcore.audio import SILENCE, TRACKS
from flowcore.events import (
    FILE_FINISHED,
    FILE_REMOVED,
    FILE_REPAIRED,
    HOLE,
    LATE,
    REMOVED,
    REPAIR_FAILED,
    EventType,
    Reason,
)
from flowcore.files import PARTIAL_SUFFIX, Folder, cannot_write, free_space, is_writable
from flowcore.open_files import EXHAUSTED
from nodes.recording import journal, recording_file
from nodes.recording.containers import CannotRepair, Container
from nodes.recording.loss_shares import LossShares
from nodes.recording.recording_file import RecordingFile

SILENCE_FRAMES = 1 << 14  # frames of silence written at once, so that a long hold needs no large array
RETRY_INTERVAL = 5.0  # seconds of the call between two attempts to write to a disk that refused
PLANNED_BYTES = 600 * 32_000  # kept free for each call: ten minutes of stereo WAV at 8 kHz, the largest usual file
DISK_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT}


class RecordingConfig(Config):
    """Path, rollover, syncing and free space, for every container."""

    path: PathTemplate
    """Path of the file, with fields of the session; missing directories are made."""

    max: Size = Field(Size("2GiB"), ge=Size("4KiB"), le=Size("2GiB"))
    """Size at which the next file begins. Many readers use signed sizes and misread files over 2GiB."""

    length: Duration | None = Field(None, ge=Duration("1s"))
    """Length at which the next file begins; left out: no limit."""

    fsync: Duration | Literal["always", "end"] = Duration("5s")
    """How much audio a power cut may cost: the last audio of this length, none (``always`` syncs every chunk), or all
    of it (``end`` syncs once, when the file is complete). A killed process loses none with any setting."""

    min_free: Size = Size("200MiB")
    """Free space that a new recording needs; running recordings continue until the disk is full."""


RecordingConfigT = TypeVar("RecordingConfigT", bound=RecordingConfig)


class Recorder(Sink[Audio, RecordingConfigT]):
    """Writes files in which every sample has its position on the flow's clock.

    Once open, a recorder raises no disk errors: audio that a full or failed disk does not take is dropped, and counted
    as ``disk_full`` or ``disk_failed``. The rest of the flow is not affected.
    """

    runs = "thread"
    loss = "forbidden"
    events = (
        FILE_FINISHED,
        FILE_REPAIRED,
        REPAIR_FAILED,
        EventType("file_unfinished", "A file could not be completed; it keeps ``.part``.", "error", path="", detail=""),
        EventType("file_damaged", "A disk lost audio; the file is set aside.", "error", path="", detail=""),
        FILE_REMOVED,
        EventType("metadata_failed", "The JSON beside a file could not be written.", "warning", path="", detail=""),
        EventType("recording_suspended", "The disk is full or fails; audio is dropped.", "error", detail=""),
        EventType("recording_resumed", "The recording goes on in another file.", "warning", seconds="Lost seconds."),
    )
    reasons = (
        LATE,
        HOLE,
        Reason("disk_full", "The disk was full."),
        Reason("disk_failed", "The disk refused to write."),
        REMOVED,
        Reason("open_files", "The process had no file descriptor left for the file."),
    )

    def __init__(self, config: RecordingConfigT) -> None:
        super().__init__(config)
        self._session: Session
        self._file: RecordingFile | None = None
        self._format: tuple[str, int, int] | None = None  # encoding, rate and channels of all chunks
        self._parties: tuple[str, ...] = ()
        self._max = int(config.max)
        self._max_frames = 1 << 62  # of one file
        self._position = 0  # on the flow's clock: frames before it are in a file, or dropped
        self._number = 0  # of the file within the call
        self._previous = ""  # name of the file before
        self._next_name = 1  # first number for the name of the next file: a call uses no name twice
        self._gaps: list[journal.Gap] = []  # lost since the file before, for the journal of the next one
        self._dropped: dict[str, float] = {}  # seconds by reason since the file began
        self._loss_shares = LossShares()
        self._suspended = ""  # the reason while the disk takes nothing
        self._suspended_at = 0  # position
        self._retry_at = 0  # position
        self._sync_at: float | None = None
        self._spread = 1.0  # fraction of `fsync` until the next sync

    @classmethod
    def make_resource(cls, config: RecordingConfigT) -> Resource:
        return Folder(config.path.root, alone=True)

    @classmethod
    def obstacle(cls, config: RecordingConfigT) -> str:
        root = config.path.root
        try:
            return "disk_failed" if not is_writable(root) else "disk_full" if free_space(root) < config.min_free else ""
        except OSError:
            return "disk_failed"

    @classmethod
    def room(cls, config: RecordingConfigT) -> Mapping[str, float]:
        return {"disk": (free_space(config.path.root) - config.min_free) / PLANNED_BYTES}

    @classmethod
    @abstractmethod
    def container(cls, config: RecordingConfigT) -> type[Container]:
        """Return the container for this config."""

    @classmethod
    def recover(cls, config: RecordingConfigT, report: Report) -> None:
        recording_file.recover(config.path, cls.container(config), report)

    def open(self, session: Session) -> None:
        self._session = session
        # Calls that begin together, as after a restart, must not sync together.
        self._spread = crc32(session.flow.encode()) / (1 << 32)
        try:
            self._begin(floor=True)
        except OSError as error:
            if error.errno not in (*DISK_FULL_ERRNOS, *EXHAUSTED):
                raise cannot_write(self.config.path.resolve(session), error) from error
            self._suspend(error)

    def process(self, chunk: Audio) -> None:
        form = (chunk.encoding, chunk.rate, chunk.channels)
        if form != self._format:
            self._set_format(form, chunk.track)
        if self._suspended and not self._resume(chunk):
            return
        hole = chunk.start - self._position
        if hole > 0:
            self.report.filled("hole", hole / chunk.rate * chunk.channels)
        elif hole:
            late = min(-hole, chunk.frames)
            self._drop("late", late, chunks=int(late == chunk.frames))
        for last in (False, True):  # the next file may take what one file refused
            try:
                done = self._position - chunk.start
                if done < 0:
                    self._fill_to(chunk.start)
                self._write(chunk.samples[done:] if done > 0 else chunk.samples)
                break
            except OSError as error:
                self._give_up(error)
                if last or error.errno in DISK_FULL_ERRNOS:
                    self._suspend(error)
                    self._drop(self._suspended, chunk.end - max(self._position, chunk.start))
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
        if self._file is not None:
            self._finish("call")

    # The files.

    def _set_format(self, form: tuple[str, int, int], track: str) -> None:
        if self._format is not None:
            raise ValueError(f"the audio changed from {self._format} to {form}: a file holds one format")
        encoding, rate, channels = self._format = form
        self._parties = TRACKS if channels == 2 else (track or "mix",)
        if self.config.length is not None:
            self._max_frames = self.config.length.samples(rate)
        if self._file is not None:
            try:
                self._file.begin(encoding, rate, channels, self._parties)
            except OSError as error:
                self._give_up(error)

    def _begin(self, *, floor: bool = False) -> RecordingFile:
        """Begin the next file at the current position; with ``floor`` only where `min_free` is left."""
        if floor and (free := free_space(self.config.path.root)) < self.config.min_free:
            raise OSError(errno.ENOSPC, f"{free >> 20} MiB are free, and min_free is {self.config.min_free}")
        start = self._position / self._format[1] if self._format else 0.0
        container = self.container(self.config)
        head = journal.head(self._session, self._number + 1, self._previous, start)
        new = RecordingFile(self.config.path, self._session, container, head, self._next_name)
        if self._format is not None:
            encoding, rate, channels = self._format
            try:
                new.begin(encoding, rate, channels, self._parties)
                for gap in self._gaps:
                    new.note(gap)
                if self._suspended and self._position > self._suspended_at:
                    new.note(journal.Gap(round(self._suspended_at / rate, 6), round(start, 6), self._suspended))
            except OSError:
                new.discard()
                raise
            self._gaps.clear()
        self._number += 1
        self._file = new
        return new

    def _fill_to(self, start: int) -> None:
        """Write silence up to ``start``, and a hold into the journal."""
        if start > self._position and self._format is not None:
            rate = self._format[1]
            (self._file or self._begin()).note(journal.Hold(round(self._position / rate, 6), round(start / rate, 6)))
            silence = _silence(self._format[0], self._format[2])
            while start > self._position:
                self._write(silence[: start - self._position])

    def _write(self, samples: NDArray[Any]) -> None:
        """Append frames; continue in the next file where this one is full."""
        wanted = len(samples)
        while wanted:
            file = self._file or self._begin()
            fits, left = file.room(self._max), self._max_frames - file.frames
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
        if self._file is not None:
            try:
                self._file.sync()
            except OSError as error:
                if error.errno not in EXHAUSTED:  # then nothing is lost: the next sync does it
                    self._give_up(error)

    def _finish(self, end: str) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        if file.removed():
            self._lose(file)
            return
        until = self._position / self._format[1] if self._format and end != "call" else math.inf
        gaps, lost = self._loss_shares.take(self.losses(), file.start, until)
        dropped = {reason: round(seconds, 6) for reason, seconds in self._dropped.items()}
        tail = journal.Tail(
            end, dropped, lost, gaps, self._silenced_in(file.start, until), self._changed_in(file.start, until)
        )
        self._dropped = {}
        try:
            done = file.finish(tail, self.report)
        except (OSError, CannotRepair) as error:
            self.report.event("file_unfinished", path=str(file.path), detail=str(error))
            return
        if done is not None:
            path, seconds = done
            if self._format and (missing := file.frames - round(seconds * self._format[1])) > 0:
                self._drop("disk_full", missing, chunks=0)  # the encoder still held them
            self._previous, self._next_name = path.name, file.name_number + 1
            self.report.event("file_finished", path=str(path))

    def _silenced_in(self, start: float, end: float) -> list[journal.Silenced]:
        """Return what an operator silenced between two seconds of the call."""
        return [
            journal.Silenced(gap.track, round(max(gap.start, start), 6), round(min(gap.end, end), 6))
            for gap in self.silenced()
            if gap.start < end and gap.end > start
        ]

    def _changed_in(self, start: float, end: float) -> list[journal.Changed]:
        """Return which live fields an operator changed between two seconds of the call."""
        return [journal.Changed(*change) for change in self.changes() if start <= change.at < end]

    # Disk errors.

    def _give_up(self, error: OSError) -> None:
        """End the file after a disk error. A full disk kept all written samples; another error may have lost any."""
        file, self._file = self._file, None
        if file is None:
            return
        if file.removed():
            self._lose(file)
        elif not file.frames:
            file.discard()
        elif _reason(error) == "disk_full":
            self._file = file
            self._finish(_reason(error))
        else:
            path = file.leave()
            self._previous = path.name.removesuffix(PARTIAL_SUFFIX)
            self.report.event("file_damaged", path=str(path), detail=str(error))

    def _lose(self, file: RecordingFile) -> None:
        """Count the audio of a file that another program removed."""
        file.discard()
        self._next_name = file.name_number + 1
        seconds = 0.0
        if self._format is not None and file.frames:
            end = self._position / self._format[1]
            seconds = end - file.start
            self._gaps.append(journal.Gap(round(file.start, 6), round(end, 6), "file_removed"))
            self._drop("file_removed", file.frames, chunks=0)
        self.report.event("file_removed", path=str(file.path), seconds=round(seconds, 3))

    def _suspend(self, error: OSError) -> None:
        """Stop recording until the next attempt."""
        self._suspended = _reason(error)
        self._suspended_at = self._position
        self._retry_at = self._position + self._retry_frames()
        self.report.event("recording_suspended", detail=str(error))

    def _resume(self, chunk: Audio) -> bool:
        """Begin a new file with this chunk if the disk allows it; return whether it did."""
        if chunk.start >= self._retry_at:
            position, self._position = self._position, max(self._position, chunk.start)
            try:
                self._begin(floor=True)
            except OSError:
                self._position = position
                self._retry_at = chunk.start + self._retry_frames()
            else:
                self._suspended = ""
                lost = (self._position - self._suspended_at) / chunk.rate
                self.report.event("recording_resumed", seconds=round(lost, 3))
                return True
        self._drop(self._suspended, chunk.frames)
        return False

    def _retry_frames(self) -> int:
        return round(RETRY_INTERVAL * self._format[1]) if self._format else 0

    def _drop(self, reason: str, frames: int, chunks: int = 1) -> None:
        if self._format is not None:
            seconds = frames / self._format[1]
            self._dropped[reason] = self._dropped.get(reason, 0.0) + seconds
            self.report.dropped(reason, seconds * self._format[2], chunks=chunks)


def _reason(error: OSError) -> str:
    if error.errno in EXHAUSTED:
        return "open_files"
    full = error.errno in DISK_FULL_ERRNOS or error.errno == errno.EFBIG  # EFBIG: the user's limit for one file
    return "disk_full" if full else "disk_failed"


@cache
def _silence(encoding: str, channels: int) -> NDArray[Any]:
    """Return `SILENCE_FRAMES` frames of silence: a view of one sample, shared by all calls."""
    frame = np.array(SILENCE[encoding], np.uint8 if encoding == "mulaw" else np.int16)
    return np.broadcast_to(frame, (SILENCE_FRAMES,) if channels == 1 else (SILENCE_FRAMES, channels))
