"""The order of arrival, for packets whose numbers do not count packets."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

from flowcore import Packet, Report

REMEMBERED_PACKETS = 50
"""Latest packets of a track among which a repeat is looked for: one second of them."""


class ArrivalOrder:
    """Passes packets on to ``follow`` as they come, without repeats where numbers are ``unique`` to a packet."""

    def __init__(self, follow: Callable[[Packet], None], report: Report, *, unique: bool) -> None:
        self._follow = follow
        self._report = report
        self._unique = unique
        self._latest: defaultdict[str, deque[Packet]] = defaultdict(lambda: deque(maxlen=REMEMBERED_PACKETS))

    def push(self, packet: Packet) -> None:
        if self._unique:
            latest = self._latest[packet.track]
            if any(packet.seq == one.seq and packet.data == one.data for one in latest):
                self._report.dropped("duplicate", packet.seconds)
                return
            latest.append(packet)
        self._follow(packet)
