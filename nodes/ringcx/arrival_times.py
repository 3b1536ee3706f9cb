"""Arrival times of a call's messages that were read late, because this process was held up."""

from __future__ import annotations

from collections.abc import Sequence

from flowcore import BadMessage
from nodes.audio.g711 import RATE
from nodes.ringcx.messages import Media, parse


def estimate_arrivals(messages: Sequence[bytes], since: float, until: float) -> list[tuple[bytes, float]]:
    """Return each message, in order, with the seconds at which it came, after ``since`` and by ``until``.

    Audio comes as fast as it is spoken: a party's last message came by ``until``, and each one before it earlier by its
    length. So no message is dated earlier than it can have been sent, which would look like drift. Messages spread
    evenly would be: the first of two parties would be half a packet too early.
    """
    behind: dict[str, float] = {}  # seconds of audio after the present message, by party
    at = until
    dated = []
    for message in reversed(messages):
        try:
            event = parse(message)
        except BadMessage:  # counted by the call's state
            event = None
        if type(event) is Media:
            party = event.perspective
            later = behind.get(party, 0.0)
            at = max(since, min(at, until - later))
            behind[party] = later + len(event.data) / RATE
        dated.append((message, at))
    return dated[::-1]
