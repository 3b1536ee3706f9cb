"""Record the call: sound in, a WAV file out that is playable whatever happens to this process."""

from pydantic import Field

import flowcore
from flowcore import Audio, Folder, NewFile, Part, PathTemplate, Report, Session, Sink, Size, Takes, abandoned, node
from nodes.protocols import wav

SILENCE = {"s16": b"\0\0", "mulaw": b"\xff"}
PIECE = 1 << 14  # frames of silence written at once, so that a long hold needs no large array


@node("wav_file")
class WavFile(Sink[Audio]):
    """Write a WAV file whose n-th frame is sample n on the flow's clock: a hole becomes silence of its length.

    While it grows, the file is called ``….wav.part`` and its header does not know its size, which players take for
    "to the end": nothing is lost when the process is killed. At the end it gets its sizes and its name. A name that
    is taken gets ``-2``, ``-3``, …; a recording that grows beyond ``max`` goes on in the next file of that kind.

    In: ``Audio``, s16 or mulaw, any rate, mono or stereo. What lies before the end of what is written already is
    dropped as ``late``. Out: event ``file`` (``path``) for each finished file; OSError when the disk is full.

    Example::

        wav: {use: wav_file, from: voices, with: {path: "recordings/{started:%Y-%m-%d}/{flow}.wav"}}
    """

    takes = (Takes("audio", ("s16", "mulaw"), layouts=("mono", "stereo")),)
    runs = "thread"
    loss = "forbidden"

    class Config(flowcore.Config):
        """Where to, and how much of it in one file."""

        path: PathTemplate = PathTemplate("recordings/{started:%Y-%m-%d}/{flow}.wav")
        """Where the file goes, with fields of the session in it; directories are made."""

        max: Size = Field(Size("2GiB"), ge=Size("4KiB"), le=Size("2GiB"))
        """Size at which the next file begins; more than 2GiB is misread by many readers (their sizes are signed)."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._session: Session
        self._file: NewFile | None = None
        self._form: tuple[str, int, int] | None = None  # encoding, rate, channels: the first chunk's, then all chunks'
        self._header = b""
        self._silence = b""  # one frame
        self._position = 0  # frames written, on the flow's clock

    @classmethod
    def shares(cls, config: Config) -> Part:
        return Folder(config.path.root)

    @classmethod
    def recover(cls, config: Config, report: Report) -> None:
        for part in abandoned(config.path):
            try:
                report.event("repaired", path=str(wav.repair(part)))
            except (OSError, wav.NotWav) as error:
                report.event("not_repaired", path=str(part), detail=str(error))

    def open(self, session: Session) -> None:
        self._session = session
        self._file = NewFile.create(self.config.path, session, part=True)

    def process(self, chunk: Audio) -> None:
        form = (chunk.encoding, chunk.rate, chunk.channels)
        if form != self._form:
            self._begin(form)
        late = min(max(self._position - chunk.start, 0), chunk.frames)
        if late:
            self.report.dropped("late", late / chunk.rate * chunk.channels, chunks=int(late == chunk.frames))
        hole = chunk.start - self._position
        if hole > 0:
            self.report.filled("hole", hole / chunk.rate * chunk.channels)
            for left in range(hole, 0, -PIECE):
                self._write(self._silence * min(left, PIECE))
        self._write(chunk.samples[late:].tobytes())

    def close(self) -> None:
        if self._file is not None:
            self._finish(self._file)

    def _begin(self, form: tuple[str, int, int]) -> None:
        if self._form is not None:
            raise ValueError(f"the sound changed from {self._form} to {form}: a WAV file holds one format")
        encoding, rate, channels = self._form = form
        self._header = wav.header(encoding, rate, channels)
        self._silence = SILENCE[encoding] * channels

    def _write(self, data: bytes) -> None:
        """Append whole frames, in the next file where this one is full."""
        while data:
            file = self._file or NewFile.create(self.config.path, self._session, part=True)
            self._file = file
            room = self.config.max - max(file.size, len(self._header))
            piece, data = data[: room - room % len(self._silence)], data[room - room % len(self._silence) :]
            if piece:
                file.append(piece if file.size else self._header + piece)
                self._position += len(piece) // len(self._silence)
            else:
                self._finish(file)

    def _finish(self, file: NewFile) -> None:
        self._file = None  # not to be finished twice, should this fail
        try:
            path = wav.repair(file.path)  # which also syncs all that was written before
        finally:
            file.close(sync=False)  # only now: until then its lock says that it is not abandoned
        self.report.event("file", path=str(path))
