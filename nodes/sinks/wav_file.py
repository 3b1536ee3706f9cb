"""Record the call: audio in, a WAV file out that stays playable after a crash."""

from typing import Literal

from pydantic import field_validator

from flowcore import Caps, PathTemplate, node
from nodes.recording.containers import Container, Wav
from nodes.recording.recorder import Recorder, RecordingConfig


class WavFileConfig(RecordingConfig):
    """Path, encoding, rollover and syncing."""

    path: PathTemplate = PathTemplate("recordings/{started:%Y-%m-%d}/{flow}.wav")
    """Path of the file, with fields of the session; missing directories are made."""

    encoding: Literal["pcm16", "mulaw"] | None = None
    """16-bit samples, or mu-law as telephones send it, in half the space; left out: the encoding of the input."""

    @field_validator("path")
    @classmethod
    def _is_wav(cls, path: PathTemplate) -> PathTemplate:
        if not path.lower().endswith(".wav"):
            raise ValueError("end it in .wav; audio_file writes .flac, .ogg and .opus")
        return path


@node("wav_file")
class WavFile(Recorder[WavFileConfig]):
    """Write a WAV file whose n-th frame is sample n on the flow's clock: a hole becomes silence of its length.

    A growing file is named ``….wav.part``, and its header gives no size, so players read it to its end: a kill loses no
    audio. The finished file gets its sizes and its final name. A name that is taken gets ``-2``, ``-3``, …; a recording
    that exceeds ``max`` or ``length`` continues in the next file with such a name. Beside each file, ``….wav.json``
    holds the session, the parties, holds, gaps, drops, and a checksum.

    Directly behind `reorder`, or with ``encoding: mulaw``, the node writes the telephone's mu-law bit by bit, in half
    the space. For one file of each party, put `split` before two `wav_file`; for both parties in one channel, `mix`.

    Audio that a full or failed disk does not take is dropped and counted (``disk_full``, ``disk_failed``); the
    recording continues in another file as soon as possible. After an error the file is named ``….damaged.wav.part``.

    In: ``Audio``, s16 or mulaw, any rate, mono or stereo. Audio before the end of the recording is dropped as ``late``.
    Out: event ``file_finished`` (``path``) for each finished file.

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
    def container(cls, config: WavFileConfig) -> type[Container]:
        return Wav
