"""Record the call: sound in, a WAV file out that is playable whatever happens to this process."""

from typing import Literal

from pydantic import field_validator

from flowcore import Caps, PathTemplate, node
from nodes.recording.containers import Container, Wav
from nodes.recording.recorder import Keeping, Recorder


class WavFileConfig(Keeping):
    """Where to, how much of it in one file, and how sure."""

    path: PathTemplate = PathTemplate("recordings/{started:%Y-%m-%d}/{flow}.wav")
    """Where the file goes, with fields of the session in it; directories are made."""

    encoding: Literal["pcm16", "mulaw"] | None = None
    """Samples of 16 bits, or mu-law in half the room, which is what telephones send; left out: as it comes."""

    @field_validator("path")
    @classmethod
    def _is_wav(cls, path: PathTemplate) -> PathTemplate:
        if not path.lower().endswith(".wav"):
            raise ValueError("end it in .wav; audio_file writes .flac, .ogg and .opus")
        return path


@node("wav_file")
class WavFile(Recorder[WavFileConfig]):
    """Write a WAV file whose n-th frame is sample n on the flow's clock: a hole becomes silence of its length.

    While it grows, the file is called ``….wav.part`` and its header does not know its size, which players take for
    "to the end": nothing is lost when the process is killed. At the end it gets its sizes and its name. A name that
    is taken gets ``-2``, ``-3``, …; a recording that grows beyond ``max`` or ``length`` goes on in the next file of
    that kind. Beside each, ``….wav.json`` tells of the session, the parties, holds, gaps, drops, and a checksum.

    Straight behind `reorder`, or with ``encoding: mulaw``, it writes what the telephone sent, bit by bit, in half the
    room. For one file of each party put `split` before two of it, for both in one channel `mix`.

    When the disk is full, or fails, what cannot be written is dropped and counted (``disk_full``, ``disk_failed``), and
    the recording goes on in another file when it can. After an error the file is called ``….damaged.wav.part``.

    In: ``Audio``, s16 or mulaw, any rate, mono or stereo. What lies before the end of what is written already is
    dropped as ``late``. Out: event ``file_finished`` (``path``) for each finished file.

    Example::

        wav: {use: wav_file, from: voices, with: {path: "recordings/{started:%Y-%m-%d}/{flow}.wav"}}
    """

    caps = (Caps("audio", ("s16", "mulaw"), layouts=("mono", "stereo")),)

    @classmethod
    def accepts(cls, config: WavFileConfig) -> tuple[Caps, ...]:
        if config.encoding is None:
            return cls.caps
        return (Caps("audio", ("mulaw" if config.encoding == "mulaw" else "s16",), layouts=("mono", "stereo")),)

    @classmethod
    def keeps(cls, config: WavFileConfig) -> type[Container]:
        return Wav
