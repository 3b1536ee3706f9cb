"""Play WAV files as a call, at the pace of a real call or faster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from flowcore import Audio, CannotStart, Config, Duration, Format, Host, Listener, LocalPath, Rate, Refused, node
from flowcore.audio import TRACKS
from nodes.audio import wav

Voices = Mapping[str, NDArray[np.int16]]


class WavSourceConfig(Config):
    """Files, length of the chunks, speed, repetitions and number of calls."""

    path: LocalPath = LocalPath("")
    """A file of both parties, or of the agent only."""

    agent: LocalPath = LocalPath("")
    """The agent's file, in place of ``path``; of a stereo file, the left channel."""

    customer: LocalPath = LocalPath("")
    """The customer's file, in place of ``path``; of a stereo file, the right channel."""

    rate: Rate = Rate(8000)
    """Sample rate of the output; files at other rates are resampled."""

    chunk: Duration = Field(Duration("20ms"), ge=Duration("1ms"))
    """Length of the chunks."""

    speed: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Factor on the pace of a real call; 0 is as fast as the flow takes the audio."""

    repeat: int = Field(1, ge=1)
    """How many times each call plays the files in succession."""

    calls: int = Field(1, ge=1)
    """Number of concurrent calls, each with its own flow."""

    @model_validator(mode="after")
    def _path_or_parties(self) -> Self:
        if bool(self.path) == bool(self.agent or self.customer):
            raise ValueError("give either path, or agent and customer")
        return self


@node("wav_source")
class WavSource(Listener[Audio, WavSourceConfig]):
    """One call from a stereo file (agent left, customer right), or from a mono file for each party.

    A mono ``path`` is the agent. The shorter party is padded with silence, because both parties of a call send until
    its end. Files are read whole at the start and resampled to ``rate``: 8, 16, 24 or 32 bits, float, mu-law
    or A-law, RF64 and unfinished files too. A stereo recording given as both ``agent`` and ``customer`` plays its call.

    Out: ``Audio``, s16 at ``rate``, tracks. The session's ``call_id`` is the name of the file and the call's number.

    Example::

        call: {use: wav_source, with: {agent: agent.wav, customer: caller.wav, speed: 4}}
    """

    live = False
    attributes = {"call_id": "the name of the file and the call's number", "session_id": "the call's number"}

    @classmethod
    def gives(cls, config: WavSourceConfig) -> Format:
        return Format("audio", "s16", config.rate, "tracks")

    async def run(self, host: Host) -> None:
        voices = self._load()  # before any flow that reading could delay
        await asyncio.gather(*(self._play(host, voices, number + 1) for number in range(self.config.calls)))

    async def _play(self, host: Host, voices: Voices, number: int) -> None:
        name = Path(self.config.path or self.config.agent or self.config.customer).stem
        try:
            inlet = host.accept({"call_id": f"{name}-{number}", "session_id": str(number)})
        except Refused:
            return  # the engine counts the refusal; the other calls continue
        due = host.now()
        for chunks in self._steps(voices):
            while inlet.paused and not inlet.ended:
                await host.slot()
                due = host.now()  # after a wait the file continues at its pace, without catching up
            if inlet.ended:
                return
            for chunk in chunks:
                inlet.push(chunk)
            due += chunks[0].seconds / self.config.speed if self.config.speed else 0.0
            await host.sleep(max(0.0, due - host.now()))
        inlet.end("end_of_file")

    def _steps(self, voices: Voices) -> Iterator[list[Audio]]:
        """Yield the chunks of all parties, step by step."""
        rate = int(self.config.rate)
        frames = len(next(iter(voices.values())))
        step = self.config.chunk.samples(rate)
        for begin in range(0, frames * self.config.repeat, frames or 1):
            for at in range(0, frames, step):
                yield [
                    Audio(samples[at : at + step], "s16", rate, track, begin + at) for track, samples in voices.items()
                ]

    def _load(self) -> Voices:
        """Return the samples of each party, all of one length. Raises `CannotStart`."""
        config = self.config
        if config.path:
            voices = dict(zip(TRACKS, self._read("path").T, strict=False))
        else:
            given = [(channel, track) for channel, track in enumerate(TRACKS) if getattr(config, track)]
            read = {track: self._read(track) for _, track in given}
            voices = {track: read[track][:, min(channel, read[track].shape[1] - 1)] for channel, track in given}
        longest = max(len(samples) for samples in voices.values())
        padded = {track: np.pad(samples, (0, longest - len(samples))) for track, samples in voices.items()}
        for samples in padded.values():
            samples.setflags(write=False)  # all calls share them
        return padded

    def _read(self, field: str) -> NDArray[Any]:
        """Return the samples of a file, shape ``(frames, channels)``, one or two channels. Raises `CannotStart`."""
        path = Path(getattr(self.config, field)).expanduser()
        try:
            rate, samples = wav.decode(path.read_bytes())
        except OSError as error:
            raise CannotStart(
                f"cannot read {path}: {error.strerror}; give the path of a WAV file", field=field
            ) from error
        except wav.NotWav as error:
            fix = "give a WAV file, as  ffmpeg -i IN -c:a pcm_s16le OUT.wav  makes one"
            raise CannotStart(f"cannot read {path}: {error}; {fix}", field=field) from error
        if samples.shape[1] > len(TRACKS):
            text = f"{path} has {samples.shape[1]} channels: give a mono file, or a stereo file with a party in each"
            raise CannotStart(text, field=field)
        if rate != self.config.rate and len(samples):
            import soxr

            return soxr.resample(samples, rate, self.config.rate)  # type: ignore[no-any-return]
        return samples
