"""Write the call's words down: text in, one JSON object a line out."""

import msgspec

import flowcore
from flowcore import TEXT, Folder, NewFile, Part, PathTemplate, Session, Sink, Text, node


@node("transcript_file")
class TranscriptFile(Sink[Text]):
    """Append each final text as one line of JSON, as soon as it comes: ``tail -f`` shows the call.

    A line: ``{"track":"agent","start":1.24,"end":2.9,"text":"hello","final":true}``, with times in seconds on the
    flow's clock, to the millisecond. Each line is one write, so the file holds whole lines at all times. The file is
    made when the flow opens, so that a call in which nobody speaks has an empty one; a name that is taken gets
    ``-2``, ``-3``, ….

    In: ``Text`` of any tracks. Out: event ``file`` (``path``) at the end; OSError when the disk is full.

    Example::

        text: {use: transcript_file, from: words, with: {path: "transcripts/{flow}.jsonl"}}
    """

    takes = (TEXT,)
    runs = "thread"
    loss = "forbidden"

    class Config(flowcore.Config):
        """Where to, and which texts."""

        path: PathTemplate = PathTemplate("transcripts/{started:%Y-%m-%d}/{flow}.jsonl")
        """Where the file goes, with fields of the session in it; directories are made."""

        interim: bool = False
        """Write interim texts too: each is replaced by the next text of its track."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._file: NewFile | None = None

    @classmethod
    def shares(cls, config: Config) -> Part:
        return Folder(config.path.root)

    def open(self, session: Session) -> None:
        self._file = NewFile.create(self.config.path, session)

    def process(self, chunk: Text) -> None:
        # A final text may be empty: there were no words after all, and it only takes back the interim ones.
        wanted = self.config.interim or (chunk.final and chunk.text)
        if self._file is None or not wanted:
            return
        line = {
            "track": chunk.track,
            "start": round(chunk.start, 3),
            "end": round(chunk.end, 3),
            "text": chunk.text,
            "final": chunk.final,
        }
        self._file.append(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
            self.report.event("file", path=str(file.path))
