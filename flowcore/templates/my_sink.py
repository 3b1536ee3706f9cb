"""Write down how loud a call was: audio in, a text file with one line for each party out."""

from flowcore import LINEAR, Audio, Config, PathTemplate, Resource, Session, Sink, node
from flowcore.files import Folder, NewFile


class MySinkConfig(Config):
    """The file to write."""

    path: PathTemplate = PathTemplate("levels/{flow}.txt")
    """Path of the file, with fields of the session in it; directories are made."""


@node("my_sink")
class MySink(Sink[Audio, MySinkConfig]):
    """Write each party's loudest level, when the call is over, as lines like ``agent -9.0dB``.

    In: ``Audio``, s16, any rate, tracks or mono.

    Example::

        levels: {use: my_sink, from: voices, with: {path: "levels/{flow}.txt"}}
    """

    caps = (LINEAR,)
    runs = "thread"  # writing may block, so the engine puts a queue before it and calls it from a thread

    def __init__(self, config: MySinkConfig) -> None:
        super().__init__(config)
        self._loudest: dict[str, float] = {}

    @classmethod
    def make_resource(cls, config: MySinkConfig) -> Resource:
        return Folder(config.path.root)  # made, and tried, before the first call

    def open(self, session: Session) -> None:
        self._file = NewFile.create(self.config.path, session)

    def process(self, chunk: Audio) -> None:
        self._loudest[chunk.track] = max(chunk.level_db(), self._loudest.get(chunk.track, float("-inf")))

    def flush(self) -> None:
        for track, level in sorted(self._loudest.items()):
            self._file.append(f"{track} {level:.1f}dB\n".encode())

    def close(self) -> None:
        self._file.close()
