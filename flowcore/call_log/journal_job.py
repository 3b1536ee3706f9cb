"""The journal of one engine: data that a worker process can receive, and the time in which rows are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flowcore.call_log.journal import Journal
from flowcore.call_log.rows import Personal, Recorder
from flowcore.engine.engine import Engine


@dataclass(frozen=True)
class JournalJob:
    """The data that an engine needs to write its journal into ``folder``; JSON values."""

    folder: str
    personal: Personal

    @contextmanager
    def writing(self, engine: Engine, key: bytes) -> Iterator[None]:
        """Write a row for each flow of the engine. ``key`` is that of the hashes."""
        journal = Journal(Path(self.folder), engine.bus.emit)
        Recorder(journal.write, self.personal, key).attach(engine)
        try:
            yield
        finally:
            journal.close()
            engine.bus.deliver()
