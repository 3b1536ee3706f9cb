"""Write the transcript of a call to a file, as JSON lines, subtitles or plain text."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationInfo, field_validator

from flowcore import TEXT, Config, PathTemplate, Report, Resource, Session, Sink, Text, node
from flowcore.events import FILE_FINISHED, FILE_REMOVED, FILE_REPAIRED, PAUSED, REMOVED, REPAIR_FAILED
from flowcore.files import FileRemoved, Folder, NewFile, abandoned, publish_from, write_whole
from nodes.transcripts import journal
from nodes.transcripts.formats import FORMATS
from nodes.transcripts.metadata import metadata

SILENCED = -1
"""Number of the utterance that stands for a stretch without audio from the party."""


class Names(Config):
    """Names of the parties."""

    agent: str = "Agent"
    """Name of the agent."""

    customer: str = "Caller"
    """Name of the other party."""


class TranscriptFileConfig(Config):
    """Path, format and content of the file."""

    format: Literal["jsonl", "srt", "vtt", "txt"] | None = None
    """The format; by default the suffix of ``path`` decides."""

    path: PathTemplate = PathTemplate("transcripts/{started:%Y-%m-%d}/{flow}.jsonl")
    """Path of the file, with fields of the session; folders are created."""

    interim: bool = False
    """Write interim texts too (jsonl only); the next text of the same track and utterance replaces each."""

    names: Names = Names()
    """Names of the parties in subtitles and plain text."""

    metadata: bool = True
    """Write ``….json`` beside the file; one is enough for several transcripts of a call."""

    @property
    def kind(self) -> str:
        """Name of the format."""
        return _kind(self.path, self.format)

    @field_validator("path")
    @classmethod
    def _says_the_format(cls, path: PathTemplate, others: ValidationInfo) -> PathTemplate:
        if _kind(path, others.data.get("format")) not in FORMATS:
            raise ValueError(f"end it in .{', .'.join(FORMATS)}, or say which of them it is: format: jsonl")
        return path

    @field_validator("interim")
    @classmethod
    def _has_a_place(cls, interim: bool, others: ValidationInfo) -> bool:
        kind = _kind(others.data.get("path", ""), others.data.get("format"))
        if interim and kind in FORMATS and kind != "jsonl":
            raise ValueError(f"{kind} has no place for interim texts: leave interim out, or write jsonl")
        return interim


@node("transcript_file")
class TranscriptFile(Sink[Text, TranscriptFileConfig]):
    """Write the final texts of a call into one file, in the format of its suffix.

    ``.jsonl``: a line ``{"track":"agent","start":1.24,"end":2.9,"text":"hello","final":true,"utterance":0,"lag":0.61}``
    for each text in order of arrival. ``.srt`` and ``.vtt``: subtitles in order of start; cues of parties who speak at
    once overlap. ``.txt``: lines ``[00:01.2] Agent: hello``. Times are those of the recording, in seconds.

    A stretch without a transcript reads ``[untranscribed 3.2 s]``, one that an operator paused or muted
    ``[paused 3.2 s]`` (in JSON: ``"gap"``). Words that are likely to be wrong begin with ``[uncertain]``
    (``"uncertain":true``). Words that never became final end in ``…`` (``"final":false``).

    During the call, each text is appended to ``….part`` as a line of JSON, so ``tail -f`` shows them. A killed process
    loses none: the next one makes the file from that. If the name is taken, the file gets ``-2``, …. Beside the file,
    ``….json`` has the session, the parties, the gaps, and the lag of the texts.

    In: ``Text`` of any tracks. Out: event ``file_finished`` (``path``) at the end; OSError when the disk is full. If
    another program removes or renames the file, its texts are dropped (``file_removed``) and the next file begins.

    Example::

        text: {use: transcript_file, from: words, with: {path: "transcripts/{flow}.vtt", names: {agent: Kim}}}
    """

    caps = (TEXT,)
    runs = "thread"
    loss = "forbidden"
    events = (FILE_FINISHED, FILE_REPAIRED, FILE_REMOVED, REPAIR_FAILED)
    reasons = (REMOVED,)

    _session: Session
    _texts = 0  # in the file
    _file: NewFile | None = None
    _end = 0.0

    @classmethod
    def make_resource(cls, config: TranscriptFileConfig) -> Resource:
        return Folder(config.path.root)

    @classmethod
    def recover(cls, config: TranscriptFileConfig, report: Report) -> None:
        for journal_path in abandoned(config.path):
            try:
                if journal_path.stat().st_size:
                    report.event("file_repaired", path=str(_finish(journal_path, config)))
                else:
                    journal_path.unlink()  # its writer was killed before it wrote the first line
            except (OSError, journal.NotAJournal) as error:
                report.event("repair_failed", path=str(journal_path), detail=str(error))

    def open(self, session: Session) -> None:
        self._session = session
        self._begin()

    def process(self, chunk: Text) -> None:
        self._end = max(self._end, chunk.end)
        self._append(journal.entry(chunk))
        self._texts += 1

    def flush(self) -> None:
        for gap in self.silenced():
            silence = Text(gap.track, gap.start, gap.end, "", final=True, utterance=SILENCED, gap=PAUSED.name)
            self._append(journal.entry(silence))
        self._append(journal.tail(max(self._end, self.audio_end()), self.losses()))

    def _begin(self, first: int = 1) -> None:
        self._file = NewFile.create(self.config.path, self._session, partial=True, first=first)
        self._file.append(journal.head(self._session))

    def _append(self, record: bytes) -> None:
        """Append to the file, or to the next one where another program has removed it."""
        if self._file is None:
            return
        try:
            self._file.append(record)
        except FileRemoved as error:
            removed, self._file = self._file, None
            removed.close(sync=False)
            self.report.dropped("file_removed", chunks=self._texts)
            self.report.event("file_removed", path=error.filename, texts=self._texts)
            self._texts = 0
            self._begin(removed.number + 1)
            self._append(record)

    def close(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.check_name()
            path = _finish(file.path, self.config)
        finally:
            file.close(sync=False)  # last: until then, its lock marks the file as in use
        self.report.event("file_finished", path=str(path))


def _kind(path: str, said: str | None) -> str:
    return said or Path(path).suffix.removeprefix(".").lower()


def _finish(journal_path: Path, config: TranscriptFileConfig) -> Path:
    """Make the transcript and its metadata from a journal. The journal is removed last, so a kill only repeats this."""
    transcript = journal.read(journal_path, interim=config.interim)
    names = config.names.model_dump()
    path = publish_from(journal_path, FORMATS[config.kind](transcript, names))
    if config.metadata:
        write_whole(path.with_name(f"{path.name}.json"), metadata(transcript, names, path.name))
    journal_path.unlink()
    return path
