"""One file of a recording with its journal: growth, completion, and recovery of files left by a killed process."""

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


class RecordingFile:
    """A growing file. All methods raise OSError; after an error only `finish` or `leave` may be called."""

    def __init__(
        self, path: PathTemplate, session: Session, container: type[Container], head: journal.Head, first: int = 1
    ) -> None:
        """Create the file and its journal, which begins with ``head``; try the names from number ``first`` on."""
        self._container_class = container
        self._container: Container | None = None
        self._closed = False
        self._file = NewFile(path.resolve(session), partial=True, first=first)
        journal_path = journal.path_of(self._file.path)
        try:
            journal_path.unlink(missing_ok=True)  # of a finished recording; otherwise this name would be taken
            self._journal = NewFile(journal_path)
        except OSError:
            self._file.path.unlink()
            self._file.close(sync=False)
            raise
        try:
            self.note(head)
        except OSError:
            self.discard()
            raise
        self.frames = 0  # length in samples of one channel
        self.start = head.start  # position in the call, in seconds

    @property
    def name_number(self) -> int:
        """Number in the name of the file; 1 for the name without one."""
        return self._file.number

    @property
    def path(self) -> Path:
        """Path of the unfinished file."""
        return self._file.path

    def begin(self, encoding: str, rate: int, channels: int, parties: Sequence[str]) -> None:
        """Set the format of the samples."""
        self.note(journal.SampleFormat(encoding, rate, list(parties)))
        self._container = self._container_class(self._file, encoding, rate, channels)

    def note(self, record: journal.JournalRecord) -> None:
        """Append a record to the journal."""
        self._journal.append(journal.encode(record))

    def room(self, limit: int) -> int:
        """Return how many more frames fit into ``limit`` bytes."""
        return self._container.room(limit) if self._container else 0

    def write(self, samples: NDArray[Any]) -> None:
        """Append frames."""
        if self._container is not None:
            self._container.write(samples)
            self.frames += len(samples)

    def sync(self) -> None:
        """Bring the file and its journal to the disk."""
        self._file.sync(self._journal)

    def removed(self) -> bool:
        """Return whether another program removed or renamed the file: then its samples are lost."""
        return not self._file.has_name()

    def finish(self, tail: journal.Tail, report: Report) -> tuple[Path, float] | None:
        """Complete the file, give it its final name, and return that with its length in seconds.

        Returns None, and removes the file, where it has no samples and its container writes no empty files. Closes
        the file in any case. Raises OSError and `CannotRepair`.
        """
        try:
            if self._container is not None:
                with suppress(OSError):  # a full disk: the caller compares the samples in the file with `frames`
                    self._container.end()
            elif not self._container_class.writes_empty:
                self.discard()
                return None
            with suppress(OSError):  # a full disk: the metadata will say that the end is unknown
                self.note(tail)
            return complete(self.path, self._container_class, report)
        finally:
            self._close()  # only now: until then its lock shows that the file is not abandoned

    def leave(self) -> Path:
        """Mark the file as damaged by its name, close it, and return the new path: the disk lost some samples."""
        path = self.path
        with suppress(OSError):  # the file keeps its name, and the next start completes its rest
            path = set_aside(self.path, DAMAGED)
            os.rename(self._journal.path, journal.path_of(path))
        self._close()
        return path

    def discard(self) -> None:
        """Remove a file that never held a sample, or the journal of one that another program removed."""
        for file in (self._file, self._journal):
            with suppress(OSError):
                if file.has_name():
                    file.path.unlink()
        self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for file in (self._journal, self._file):
            with suppress(OSError):  # the file is synced, or nothing more can be done for it
                file.close(sync=False)


def complete(partial: Path, container: type[Container], report: Report) -> tuple[Path, float]:
    """Complete a recording and its metadata; return its path and its length in seconds.

    The journal is removed last. Without room for metadata the journal stays, and the next start makes the metadata.
    Raises OSError and `CannotRepair`.
    """
    seconds = container.finalize(partial)
    journal_path = journal.path_of(partial)
    try:
        path = publish(partial, lambda name: _write_metadata(name, partial, journal_path, container, seconds))
    except OSError as error:
        path = publish(partial)
        report.event("metadata_failed", path=str(path), detail=str(error))
        with suppress(FileNotFoundError):
            os.rename(journal_path, journal.path_of(partial_path(path)))
    else:
        journal_path.unlink(missing_ok=True)
    return path, seconds


def _write_metadata(name: Path, file: Path, journal_path: Path, container: type[Container], seconds: float) -> None:
    text = journal.metadata(journal.read(journal_path), name.name, file, container.format_name, seconds)
    write_whole(_metadata_path(name), text)


def _metadata_path(recording: Path) -> Path:
    return recording.with_name(f"{recording.name}.json")


def recover(template: PathTemplate, container: type[Container], report: Report) -> None:
    """Complete the recordings and metadata that killed writers left."""
    for partial in abandoned(template):
        try:
            path, seconds = complete(partial, container, report)
            report.event("file_repaired", path=str(path), seconds=round(seconds, 3))
        except (OSError, CannotRepair) as error:
            report.event("repair_failed", path=str(partial), detail=str(error))
    for journal_path in sorted(template.root.glob(str(journal.path_of(partial_path(Path(template.pattern)))))):
        name = journal_path.with_name(journal_path.name.removesuffix(".json.part"))
        if partial_path(name).exists():
            continue  # still being written, or impossible to complete
        try:
            if name.exists() and not _metadata_path(name).exists():
                _write_metadata(name, name, journal_path, container, container.finalize(name))
            journal_path.unlink(missing_ok=True)
        except (OSError, CannotRepair) as error:
            report.event("metadata_failed", path=str(name), detail=str(error))
