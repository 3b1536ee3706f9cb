"""Record the call compressed: audio in, FLAC or Opus out."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import field_validator

from flowcore import Caps, Extra, PathTemplate, Session, node
from nodes.recording.containers import Container
from nodes.recording.encoded import Flac, Opus
from nodes.recording.recorder import Recorder, RecordingConfig

CONTAINERS: dict[str, type[Container]] = {".flac": Flac, ".ogg": Opus, ".opus": Opus}
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


class AudioFileConfig(RecordingConfig):
    """Path with the format, rollover and syncing."""

    path: PathTemplate = PathTemplate("recordings/{started:%Y-%m-%d}/{flow}.flac")
    """Path of the file, with fields of the session; its ending .flac, .ogg or .opus selects the format."""

    @field_validator("path")
    @classmethod
    def _has_known_suffix(cls, path: PathTemplate) -> PathTemplate:
        if _suffix(path) not in CONTAINERS:
            raise ValueError(f"end it in {', '.join(CONTAINERS)}; wav_file writes .wav")
        return path


@node("audio_file")
class AudioFile(Recorder[AudioFileConfig]):
    """Write FLAC (lossless) or Opus in Ogg, selected by the ending of the path; otherwise like `wav_file`.

    A kill loses the audio that the encoder still holds: up to 0.6 s of FLAC at 8 kHz (one block of 4096 samples), or
    1.1 s of Opus (one page). All earlier audio is readable, in ``….part`` too, and the next start completes the file.
    Where no audio may be lost, use `wav_file`. A call without any audio leaves no file.

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
    def container(cls, config: AudioFileConfig) -> type[Container]:
        return CONTAINERS[_suffix(config.path)]

    def open(self, session: Session) -> None:
        import soundfile  # noqa: F401  # here, in a thread, rather than with the first chunk

        super().open(session)


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()
