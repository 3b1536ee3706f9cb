"""Record the call, compressed: sound in, FLAC or Opus out."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import field_validator

from flowcore import Caps, Extra, PathTemplate, Session, node
from nodes.recording.containers import Container
from nodes.recording.encoded import Flac, Opus
from nodes.recording.recorder import Keeping, Recorder

KINDS: dict[str, type[Container]] = {".flac": Flac, ".ogg": Opus, ".opus": Opus}
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


class AudioFileConfig(Keeping):
    """Where to, in which format, how much of it in one file, and how sure."""

    path: PathTemplate = PathTemplate("recordings/{started:%Y-%m-%d}/{flow}.flac")
    """Where the file goes, with fields of the session in it; it ends in .flac, .ogg or .opus."""

    @field_validator("path")
    @classmethod
    def _says_the_format(cls, path: PathTemplate) -> PathTemplate:
        if _suffix(path) not in KINDS:
            raise ValueError(f"end it in {', '.join(KINDS)}; wav_file writes .wav")
        return path


@node("audio_file")
class AudioFile(Recorder[AudioFileConfig]):
    """Write a FLAC file (lossless) or Opus in Ogg, as the end of its name says; all else is as with `wav_file`.

    What an encoder still holds is lost when the process is killed: up to 0.6 s of a FLAC file at 8 kHz (one block of
    4096 samples), 1.1 s of Opus (one page). All before it is readable, in ``….part`` too, and the next start
    completes the file. Where nothing may be lost, record with `wav_file`. A call without any sound leaves no file.

    In: ``Audio``, s16, mono or stereo; for Opus at 8, 12, 16, 24 or 48 kHz. Out: event ``file_finished`` for each file.

    Example::

        small: {use: audio_file, from: voices, with: {path: "recordings/{started:%Y-%m-%d}/{flow}.opus"}}
    """

    caps = (Caps("audio", ("s16",), layouts=("mono", "stereo")),)

    @classmethod
    def accepts(cls, config: AudioFileConfig) -> tuple[Caps, ...]:
        rates = () if _suffix(config.path) == ".flac" else OPUS_RATES
        return (Caps("audio", ("s16",), rates, ("mono", "stereo")),)

    @classmethod
    def requires(cls, config: AudioFileConfig) -> Sequence[Extra]:
        return (Extra("soundfile", "record"),)

    @classmethod
    def keeps(cls, config: AudioFileConfig) -> type[Container]:
        return KINDS[_suffix(config.path)]

    def open(self, session: Session) -> None:
        import soundfile  # noqa: F401  # now, in a thread, rather than within the first chunk

        super().open(session)


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()
