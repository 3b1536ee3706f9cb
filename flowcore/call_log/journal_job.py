"""The journal of one engine: data that a worker process can receive, and the time in which rows are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from flowcore.call_log.journal import Journal
from flowcore.call_log.rows import Personal, Recorder, Versions
from flowcore.engine.engine import Engine


@dataclass(frozen=True)
class JournalJob:
    """The data that an engine needs to write its journal into ``folder``; JSON values."""

    folder: str
    versions: Mapping[str, str]
    personal: Personal

    @classmethod
    def of(cls, folder: Path, versions: Versions, personal: Personal) -> JournalJob:
        return cls(str(folder), asdict(versions), personal)

    @contextmanager
    def writing(self, engine: Engine, key: bytes) -> Iterator[None]:
        """Write a row for each flow of the engine. ``key`` is that of the hashes."""
        journal = Journal(Path(self.folder), engine.bus.emit)
        Recorder(journal.write, Versions(**self.versions), self.personal, key).attach(engine)
        try:
            yield
        finally:
            journal.close()
            engine.bus.deliver()
