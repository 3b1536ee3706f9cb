"""Split a call into its two parties: one output for the agent, one for the customer."""

from collections.abc import Sequence
from dataclasses import replace

from flowcore import Audio, Caps, Config, Demux, Emit, Format, node
from flowcore.audio import TRACKS
from flowcore.events import UNKNOWN_TRACK


@node("split")
class Split(Demux[Audio, Audio]):
    """Send each party's audio to its own output.

    In: ``Audio``, any encoding and rate, either stereo (agent left, customer right) or as tracks.
    Out: ``agent`` and ``customer``, one channel each, with the party in ``Audio.track``; samples are shared with the
    input, never copied. A track of any other name is dropped and counted.

    Example::

        party: {use: split, from: speech}
    """

    caps = (Caps("audio", layouts=("stereo", "tracks")),)
    outputs = TRACKS
    splits_tracks = True
    balanced = True
    reasons = (UNKNOWN_TRACK,)

    @classmethod
    def gives(cls, config: Config, given: Format) -> tuple[Format, ...]:
        mono = replace(given, layout="mono")
        return (mono, mono)

    def process(self, chunk: Audio, emits: Sequence[Emit[Audio]]) -> None:
        if chunk.samples.ndim == 2:
            for channel, track in enumerate(self.outputs):
                emits[channel](Audio(chunk.samples[:, channel], chunk.encoding, chunk.rate, track, chunk.start))
        elif chunk.track == "agent":
            emits[0](chunk)
        elif chunk.track == "customer":
            emits[1](chunk)
        else:
            self.report.dropped("unknown_track", chunk.seconds)
