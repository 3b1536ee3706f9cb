"""Make calls of a tone: nothing in, sessions of sound out."""

import numpy as np
from pydantic import Field

from flowcore import Audio, Config, Duration, Format, Host, Listener, Rate, Refused, node


class MyListenerConfig(Config):
    """The number and length of the calls."""

    calls: int = Field(1, ge=1)
    """Number of calls, one after the other."""

    length: Duration = Duration("1s")
    """Length of each call."""

    rate: Rate = Rate(8000)
    """Sample rate of the tone."""


@node("my_listener")
class MyListener(Listener[Audio, MyListenerConfig]):
    """Play a tone of 440 Hz as one call after another, at the pace of real calls.

    Out: ``Audio``, s16 at ``rate``, mono. The session's ``call_id`` is the call's number.

    Example::

        call: {use: my_listener, with: {calls: 3, length: 2s}}
    """

    attributes = {"call_id": "the call's number"}

    @classmethod
    def gives(cls, config: MyListenerConfig) -> Format:
        return Format("audio", "s16", config.rate, "mono")

    async def run(self, host: Host) -> None:
        for number in range(self.config.calls):
            try:
                inlet = host.accept({"call_id": str(number + 1)})
            except Refused:
                return
            for chunk in self._chunks():
                if inlet.ended:
                    break
                inlet.push(chunk)
                await host.sleep(chunk.seconds)
            inlet.end("done")

    def _chunks(self) -> list[Audio]:
        rate = int(self.config.rate)
        wave = 8192 * np.sin(2 * np.pi * 440 * np.arange(self.config.length.samples(rate)) / rate)
        samples, step = wave.astype(np.int16), rate // 50
        return [Audio(samples[at : at + step], "s16", rate, "agent", at) for at in range(0, len(samples), step)]
