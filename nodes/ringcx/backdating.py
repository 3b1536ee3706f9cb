"""When messages of a call came that were read late, because this process was held up."""

from __future__ import annotations

from collections.abc import Sequence

from flowcore import BadMessage
from nodes.ringcx.protocol import RATE, Media, parse


def dated(messages: Sequence[bytes], since: float, until: float) -> list[tuple[bytes, float]]:
    """Each of them, in order, with the seconds at which it came, after ``since`` and by ``until``.

    Audio comes as fast as it is spoken: the last of a party's came by ``until``, and what was before it as much earlier
    as it lasts. So none is dated earlier than it can have been sent, which would look like drift, as it does when
    messages are spread evenly: who is first of two parties would then be half a packet too early.
    """
    behind: dict[str, float] = {}  # seconds of audio after the present message, by party
    at = until
    found = []
    for message in reversed(messages):
        try:
            event = parse(message)
        except BadMessage:  # it is counted where it is acted on
            event = None
        if type(event) is Media:
            party = event.perspective
            later = behind.get(party, 0.0)
            at = max(since, min(at, until - later))
            behind[party] = later + len(event.data) / RATE
        found.append((message, at))
    return found[::-1]
