"""One file of a recording: the samples, a journal beside them, and the end, which is the same after a kill."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from flowcore import PathTemplate, Report, Session
from flowcore.files import NewFile, abandoned, partial_path, publish, set_aside, write_whole
from nodes.recording import journal
from nodes.recording.containers import CannotRepair, Container

DAMAGED = "damaged"


class Segment:
    """A file that grows. All methods raise OSError; then nothing but `finish` or `leave` may follow."""

    def __init__(
        self, template: PathTemplate, session: Session, kind: type[Container], number: int, previous: str, start: float
    ) -> None:
        """Create it; ``start`` is its place in the call, in seconds."""
        self._kind = kind
        self._container: Container | None = None
        self._closed = False
        self._file = NewFile(template.resolve(session), partial=True)
        notes = journal.path_of(self._file.path)
        try:
            notes.unlink(missing_ok=True)  # of a recording that is finished, or it had kept this name
            self._journal = NewFile(notes)
        except OSError:
            self._file.path.unlink()
            self._file.close(sync=False)
            raise
        try:
            self._journal.append(journal.head(session, number, previous, start))
        except OSError:
            self.discard()
            raise
        self.frames = 0
        """How many it has, of one channel."""

    @property
    def path(self) -> Path:
        """Its name while it grows."""
        return self._file.path

    def begin(self, encoding: str, rate: int, channels: int, parties: Sequence[str]) -> None:
        """Say what the samples will be."""
        self._journal.append(journal.line(journal.Sound(encoding, rate, list(parties))))
        self._container = self._kind(self._file, encoding, rate, channels)

    def note(self, line: journal.Line) -> None:
        """Write a line into the journal."""
        self._journal.append(journal.line(line))

    def room(self, limit: int) -> int:
        """How many more frames fit into ``limit`` bytes."""
        return self._container.room(limit) if self._container else 0

    def write(self, samples: NDArray[Any]) -> None:
        """Append frames."""
        if self._container is not None:
            self._container.write(samples)
            self.frames += len(samples)

    def sync(self) -> None:
        """Have on the disk what was written so far."""
        self._file.sync(self._journal)

    def finish(self, tail: journal.Tail, report: Report) -> tuple[Path, float] | None:
        """Make it complete and give it its name, which is returned with its seconds; None where nothing was recorded,
        and the container has no file of nothing. Lets go of it whatever happens; also raises `CannotRepair`.
        """
        try:
            if self._container is not None:
                with suppress(OSError):  # a full disk: who asked compares what is in the file with what was to be
                    self._container.end()
            elif not self._kind.empty:
                self.discard()
                return None
            with suppress(OSError):  # a full disk: the metadata will say that the end is not known
                self._journal.append(journal.line(tail))
            return complete(self.path, self._kind, report)
        finally:
            self._close()  # only now: until then its lock says that it is not abandoned

    def leave(self) -> Path:
        """The disk lost some of it: mark it by its name and touch it no more. Returns the name."""
        path = self.path
        with suppress(OSError):  # then it keeps its name, and the next start completes what is left of it
            path = set_aside(self.path, DAMAGED)
            os.rename(self._journal.path, journal.path_of(path))
        self._close()
        return path

    def discard(self) -> None:
        """Remove it: it never held a sample."""
        with suppress(OSError):
            self._file.path.unlink()
            self._journal.path.unlink()
        self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for file in (self._journal, self._file):
            with suppress(OSError):  # it is synced, or there is nothing that could still be done for it
                file.close(sync=False)


def complete(part: Path, kind: type[Container], report: Report) -> tuple[Path, float]:
    """Make a recording and its metadata of what was written; its name and seconds. Raises OSError, `CannotRepair`.

    The journal goes last. Where there is no room for metadata it stays, and the next start makes them of it.
    """
    seconds = kind.finalize(part)
    notes = journal.path_of(part)

    def tell(name: Path) -> None:
        _tell(name, part, notes, kind, seconds)

    try:
        path = publish(part, tell)
    except OSError as error:
        path = publish(part)
        report.event("metadata_failed", path=str(path), detail=str(error))
        with suppress(FileNotFoundError):
            os.rename(notes, journal.path_of(partial_path(path)))
    else:
        notes.unlink(missing_ok=True)
    return path, seconds


def _tell(name: Path, file: Path, notes: Path, kind: type[Container], seconds: float) -> None:
    text = journal.metadata(journal.read(notes), name.name, file, kind.form, seconds)
    write_whole(name.with_name(f"{name.name}.json"), text)


def recover(template: PathTemplate, kind: type[Container], report: Report) -> None:
    """Complete what killed writers left."""
    for part in abandoned(template):
        try:
            path, seconds = complete(part, kind, report)
            report.event("file_repaired", path=str(path), seconds=round(seconds, 3))
        except (OSError, CannotRepair) as error:
            report.event("repair_failed", path=str(part), detail=str(error))
    for notes in sorted(template.root.glob(str(journal.path_of(partial_path(Path(template.pattern)))))):
        name = notes.with_name(notes.name.removesuffix(".json.part"))
        if partial_path(name).exists():
            continue  # it is being written, or could not be completed
        try:
            if name.exists() and not name.with_name(f"{name.name}.json").exists():
                _tell(name, name, notes, kind, kind.finalize(name))
            notes.unlink(missing_ok=True)
        except (OSError, CannotRepair) as error:
            report.event("metadata_failed", path=str(name), detail=str(error))
