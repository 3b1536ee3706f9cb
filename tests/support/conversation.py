"""The messages of a whole RingCX call."""

from collections.abc import Iterator
from itertools import count

from nodes.ringcx.call_sender import CallSender
from nodes.simulators.known_audio import mulaw


def conversation(sender: CallSender, seconds: float = 0.4, *, shared: bool = False) -> Iterator[bytes]:
    """Yield all messages of a call of ``seconds``, with a Stop of each party; ``shared``: one number for both."""
    numbers = count(1)
    parts = {track: mulaw(0, track, seconds) for track in ("agent", "customer")}
    yield sender.connected()
    yield sender.start()
    for at in range(0, len(parts["agent"]), 160):
        for track, data in parts.items():
            yield sender.media(track, data[at : at + 160], next(numbers) if shared else None)
    yield from [sender.stop(round(seconds), "2026-01-01T00:00:00Z")] * 2
