"""Write the call's words down: text in, JSON lines, subtitles or plain text out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationInfo, field_validator

from flowcore import TEXT, Config, PathTemplate, Report, Resource, Session, Sink, Text, node
from flowcore.events import FILE_FINISHED, FILE_REPAIRED, REPAIR_FAILED
from flowcore.files import Folder, NewFile, abandoned, publish_from, write_whole
from nodes.transcripts import journal
from nodes.transcripts.formats import FORMATS
from nodes.transcripts.metadata import metadata


class Names(Config):
    """What the parties are called."""

    agent: str = "Agent"
    """The agent."""

    customer: str = "Caller"
    """Whoever the agent speaks to."""


class TranscriptFileConfig(Config):
    """Where to, in what form, and which texts."""

    format: Literal["jsonl", "srt", "vtt", "txt"] | None = None
    """The format, where the end of ``path`` does not say it."""

    path: PathTemplate = PathTemplate("transcripts/{started:%Y-%m-%d}/{flow}.jsonl")
    """Where the file goes, with fields of the session in it; directories are made."""

    interim: bool = False
    """Write interim texts too (jsonl only): each is replaced by the next text of its track and utterance."""

    names: Names = Names()
    """What the parties are called in subtitles and plain text."""

    metadata: bool = True
    """Write ``….json`` beside it; of several transcripts of a call, one may be enough."""

    @property
    def kind(self) -> str:
        """The name of the format."""
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
            raise ValueError(f"{kind} has no place for interim texts: leave it out, or write jsonl")
        return interim


@node("transcript_file")
class TranscriptFile(Sink[Text, TranscriptFileConfig]):
    """Write the final texts of a call into one file, in the format that the end of its name says.

    ``.jsonl``: a line ``{"track":"agent","start":1.24,"end":2.9,"text":"hello","final":true,"utterance":0,"lag":0.61}``
    for each text as it came. ``.srt`` and ``.vtt``: subtitles by the time at which they begin; parties who talk at once
    have cues at once. ``.txt``: lines ``[00:01.2] Agent: hello``. Times are those of the recording, in seconds.

    Where no engine understood the voice, ``[untranscribed 3.2 s]`` stands (in JSON: ``"gap"``). Words that never became
    final end in ``…`` (``"final":false``).

    While the call goes on, its texts are in ``….part``, each written as it comes, as lines of JSON (``tail -f`` shows
    them). A killed process loses none: the next one makes the file of them. A name that is taken gets ``-2``, ….
    Beside the file, ``….json`` tells of the session, the parties, gaps, and how late the words were.

    In: ``Text`` of any tracks. Out: event ``file_finished`` (``path``) at the end; OSError when the disk is full.

    Example::

        text: {use: transcript_file, from: words, with: {path: "transcripts/{flow}.vtt", names: {agent: Kim}}}
    """

    caps = (TEXT,)
    runs = "thread"
    loss = "forbidden"
    events = (FILE_FINISHED, FILE_REPAIRED, REPAIR_FAILED)

    def __init__(self, config: TranscriptFileConfig) -> None:
        super().__init__(config)
        self._file: NewFile | None = None
        self._opened = 0.0

    @classmethod
    def make_resource(cls, config: TranscriptFileConfig) -> Resource:
        return Folder(config.path.root)

    @classmethod
    def recover(cls, config: TranscriptFileConfig, report: Report) -> None:
        for part in abandoned(config.path):
            try:
                if part.stat().st_size:
                    report.event("file_repaired", path=str(_finish(part, config)))
                else:
                    part.unlink()  # its writer was killed before the first word, and before it said whose call it is
            except (OSError, journal.NotAJournal) as error:
                report.event("repair_failed", path=str(part), detail=str(error))

    def open(self, session: Session) -> None:
        self._opened = self.now()
        self._file = NewFile.create(self.config.path, session, partial=True)
        self._file.append(journal.head(session))

    def process(self, chunk: Text) -> None:
        if self._file is not None:
            self._file.append(journal.entry(chunk))

    def flush(self) -> None:
        if self._file is not None:
            self._file.append(journal.tail(self.now() - self._opened))

    def close(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            path = _finish(file.path, self.config)
        finally:
            file.close(sync=False)  # only now: until then its lock says that it is not abandoned
        self.report.event("file_finished", path=str(path))


def _kind(path: str, said: str | None) -> str:
    return said or Path(path).suffix.removeprefix(".").lower()


def _finish(part: Path, config: TranscriptFileConfig) -> Path:
    """Make the transcript and its metadata of a journal, which goes last: killed before that, all is done again."""
    transcript = journal.read(part, interim=config.interim)
    names = config.names.model_dump()
    path = publish_from(part, FORMATS[config.kind](transcript, names))
    if config.metadata:
        write_whole(path.with_name(f"{path.name}.json"), metadata(transcript, names, path.name))
    part.unlink()
    return path
