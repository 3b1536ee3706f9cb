"""What the sequence numbers of a call count, learnt from its first packets: senders do not document it.

Packets of each track, or of all tracks together, in steps of 1 or 2. Anything else (samples, milliseconds, other steps,
nothing at all) is a scheme without a use, which gets a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from math import gcd
from typing import NamedTuple

from flowcore import Packet
from flowcore.audio import TELEPHONE_RATE as RATE

CERTAIN_STEPS = 5
"""Number of equal steps of 3 or more that are a scheme and no losses, at any pace."""

CONSTANT_PACKETS = 4
"""Number of packets of one track with one number, at the pace of speech, that make the scheme constant."""

MAX_STRIDE = 2
"""The longest step from one packet's number to the next that counts packets."""


class Numbering(NamedTuple):
    """What the numbers count."""

    shared: bool = False  # one counter for all tracks
    stride: int = 1  # from one packet of a counter to the next
    unknown: str = ""  # what they count instead of packets, in words
    certain: bool = True  # else losses may look like it
    unique: bool = True  # whether each packet has a number of its own


def learn(early: Sequence[Packet]) -> Numbering:
    """Return what the numbers of a call's first packets count."""
    tracks: dict[str, dict[int, Packet]] = {}
    for packet in early:
        tracks.setdefault(packet.track, {}).setdefault(packet.seq, packet)
    for track, first in tracks.items():
        mine = [packet for packet in early if packet.track == track]
        if scheme := _not_unique(mine, first) or _media_counted(mine, first):
            return scheme
    numbers = {track: sorted(first) for track, first in tracks.items()}
    once = [packet for packet in early if tracks[packet.track][packet.seq] is packet]
    union = sorted({packet.seq for packet in once})
    if step := _own_step(numbers.values(), union) or _step([union]):
        certain = len(union) > CERTAIN_STEPS or not _heard_less_than_sent(once)
        return Numbering(unknown=f"steps of {step}", certain=certain)
    shared = len(numbers) > 1 and _one_counter(once, numbers)
    return Numbering(shared, _stride([union] if shared else numbers.values()))


def _not_unique(mine: Sequence[Packet], first: Mapping[int, Packet]) -> Numbering | None:
    """The scheme of a track whose different packets have one number."""
    changed = sum(packet.data != first[packet.seq].data for packet in mine)
    paced = len(mine) >= CONSTANT_PACKETS and 2 * (mine[-1].arrived - mine[0].arrived) >= _seconds(mine[:-1])
    if len(first) == 1 and len(mine) >= CONSTANT_PACKETS and (changed or paced):
        return Numbering(unknown="constant", unique=False)
    return Numbering(unknown="repeating", unique=False) if changed > 1 else None


def _media_counted(mine: Sequence[Packet], first: Mapping[int, Packet]) -> Numbering | None:
    """The scheme of a track whose numbers rise by the length of the packets."""
    steps = [(after - before, len(first[before].data)) for before, after in pairwise(sorted(first))]
    certain = len(steps) >= CERTAIN_STEPS or not _heard_less_than_sent(mine)
    if len(steps) < 2:
        return None
    if all(step == length > MAX_STRIDE for step, length in steps):
        return Numbering(unknown="samples", certain=certain)
    if all(step == length * 1000 // RATE > MAX_STRIDE for step, length in steps):
        return Numbering(unknown="milliseconds", certain=certain)
    return None


def _steps(counts: Iterable[Sequence[int]]) -> list[int]:
    return [after - before for count in counts for before, after in pairwise(count)]


def _step(counts: Iterable[Sequence[int]]) -> int:
    """The step of which all steps are multiples, where it is longer than `MAX_STRIDE`; else 0."""
    steps = _steps(counts)
    step = gcd(*steps)
    return step if len(steps) > 1 and step > MAX_STRIDE else 0


def _own_step(numbers: Collection[Sequence[int]], union: Sequence[int]) -> int:
    """The same where each track has a counter of its own, and they began at different numbers."""
    step = _step(numbers)
    by_turns = gcd(*_steps([union])) * len(numbers)  # the step of each of the tracks that take turns on one counter
    return step if len(union) >= 2 * len(numbers) > 2 and step > by_turns else 0


def _one_counter(once: Sequence[Packet], numbers: Mapping[str, list[int]]) -> bool:
    """Whether tracks share a counter: no number twice, and the tracks' numbers interleave or follow each other."""
    if len({packet.seq for packet in once}) < len(once):
        return False
    (_, high), *others = sorted((own[0], own[-1]) for own in numbers.values())
    for other_low, other_high in others:
        if other_low > high:
            # A burst of one track, then one of the other, looks like this; two counters that lie apart by chance too,
            # but then the higher numbers do not wait for the lower ones to be over.
            order = [packet.seq <= high for packet in once]
            if other_low > high + MAX_STRIDE or order != sorted(order, reverse=True):
                return False
        high = max(high, other_high)
    return True


def _stride(counts: Iterable[Sequence[int]]) -> int:
    """2 if every step within each of the counts is at least that, and one is just that; else 1."""
    return MAX_STRIDE if min(_steps(counts), default=1) == MAX_STRIDE else 1


def _seconds(packets: Iterable[Packet]) -> float:
    return sum(len(packet.data) for packet in packets) / RATE


def _heard_less_than_sent(packets: Sequence[Packet]) -> bool:
    """Whether much less media came of one track than its time: then steps in the numbers are losses."""
    longest = max(_seconds(one for one in packets if one.track == track) for track in {one.track for one in packets})
    return packets[-1].arrived - packets[0].arrived > 1.5 * longest + 0.1
