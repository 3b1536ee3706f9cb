"""The numbering of a call: what its sequence numbers count, learnt from the first packets.

Senders do not document it. Most count packets, of each track or of all tracks together, in steps of 1 or 2. Anything
else (samples, milliseconds, other steps, nothing at all) is a scheme without a use, which gets a name. Numbers that
count packets agree with the order and the pace in which these come; numbers that do not are *irregular*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import gcd
from typing import NamedTuple

from flowcore import Packet
from flowcore.audio import TELEPHONE_RATE as RATE

CERTAIN_STEPS = 5
"""Number of equal steps of 3 or more that are a scheme and no losses, at any pace."""

CERTAIN_PACKETS = 40
CERTAIN_SECONDS = 0.7
"""Packets of one track, or seconds of arrivals, that must be irregular: fewer may have overtaken each other."""

CONSTANT_PACKETS = 4
"""Number of packets of one track with one number, at the pace of speech, that make the scheme constant."""

MAX_STRIDE = 2
"""The longest step from one packet's number to the next that counts packets."""

MAX_IRREGULAR = 1 / 3
"""The part of a counter's steps that may disagree with its pace, or with the order of arrival, before more packets are
waited for: in random numbers all come too early, and half go back."""

FEW_PACKETS = 12
MAX_IRREGULAR_OF_FEW = 1 / 5
"""The same for fewer packets of each track than this, where chance decides: then more of them are waited for."""

MAX_OVERTAKING_PACKETS = 6
MAX_OVERTAKING_SECONDS = 0.12
"""Packets of one counter that may overtake another, and the time before it: `reorder` waits as long by default."""

MAX_TOO_LATE = 1 / 4
"""The part of a counter's packets that may come later than that: a network has no such jitter for long."""


class Numbering(NamedTuple):
    """The meaning of the numbers of a call."""

    shared: bool = False  # one counter for all tracks
    stride: int = 1  # from one packet of a counter to the next
    unknown: str = ""  # what they count instead of packets, in words
    certain: bool = True  # else losses or reordering may look like it
    unique: bool = True  # whether each packet has a number of its own


def learn(early: Sequence[Packet], repeats: Collection[Packet] = ()) -> Numbering:
    """Return what the numbers of some packets, the first of a call, count.

    Those in ``repeats`` may be repeats of packets before them.
    """
    tracks: dict[str, dict[int, Packet]] = {}
    for packet in early:
        tracks.setdefault(packet.track, {}).setdefault(packet.seq, packet)
    for track, numbered in tracks.items():
        mine = [packet for packet in early if packet.track == track]
        if scheme := _not_unique(mine, numbered) or _media_counted(mine, numbered):
            return scheme
    numbers = {track: sorted(numbered) for track, numbered in tracks.items()}
    first: dict[tuple[str, int], Packet] = {}
    for packet in early:
        first.setdefault((packet.track, packet.seq), packet)
    once = list(first.values())
    union = sorted({packet.seq for packet in once})
    if step := _own_step(numbers.values(), union) or _step([union]):
        certain = len(union) > CERTAIN_STEPS or not _heard_less_than_sent(once)
        return Numbering(unknown=f"steps of {step}", certain=certain)
    new = [packet for packet in once if packet not in repeats]
    own = [[packet for packet in new if packet.track == track] for track in tracks]
    enough = max(map(len, own)) > CERTAIN_PACKETS or early[-1].arrived - early[0].arrived >= CERTAIN_SECONDS
    shared = len(numbers) > 1 and _one_counter(once, numbers)
    few = max(Counter(packet.track for packet in early).values()) < FEW_PACKETS
    tolerance = MAX_IRREGULAR_OF_FEW if few else MAX_IRREGULAR
    in_order = _in_reach if enough else partial(_rises, tolerance=tolerance)
    too_early = [_too_early(new, len(tracks))] if shared else [_too_early(packets, 1) for packets in own]
    regular = max(too_early) <= tolerance and all(map(in_order, own))
    if not regular and enough:
        return Numbering(unknown="irregular", certain=False)
    return Numbering(shared, _stride([union] if shared else numbers.values()), certain=regular)


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


def _rises(packets: Sequence[Packet], tolerance: float) -> bool:
    """Whether few packets were overtaken by the one after them."""
    back = sum(after.seq <= before.seq for before, after in pairwise(packets))
    return back < max(1, tolerance * (len(packets) - 1))


def _in_reach(packets: Sequence[Packet]) -> bool:
    """Whether few packets were overtaken by so many, or so long before, that `reorder` does not wait for them."""
    too_late = 0
    for at, packet in enumerate(packets):
        first = next(one for one, before in enumerate(packets) if before.seq >= packet.seq)
        waited = packet.arrived - packets[first].arrived
        too_late += at - first > MAX_OVERTAKING_PACKETS or waited > MAX_OVERTAKING_SECONDS
    return too_late <= MAX_TOO_LATE * (len(packets) - 1)


def _too_early(packets: Sequence[Packet], tracks: int) -> float:
    """The part of the steps of one counter of so many tracks at which the numbers rise faster than the clock.

    A packet behind missing ones comes as much later as they were long: a network only ever adds to the least delay.
    """
    if len(packets) < 3:
        return 0.0
    ordered = sorted(packets, key=lambda packet: packet.seq)
    stride = _stride([[packet.seq for packet in ordered]])
    position, least, too_early = 0.0, float("inf"), 0
    for before, after in pairwise(ordered):
        seconds = after.seconds / tracks
        missing = ((after.seq - before.seq) // stride - 1) * seconds
        least = min(least, before.arrived - position)
        position += missing + seconds
        too_early += missing > 0 and after.arrived - position < least - missing / 2
    return too_early / (len(packets) - 1)


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
    """2 if every step within each of the counts is a multiple of it; else 1."""
    return MAX_STRIDE if gcd(*_steps(counts)) == MAX_STRIDE else 1


def _seconds(packets: Iterable[Packet]) -> float:
    return sum(len(packet.data) for packet in packets) / RATE


def _heard_less_than_sent(packets: Sequence[Packet]) -> bool:
    """Whether much less media came of one track than its time: then steps in the numbers are losses."""
    longest = max(_seconds(one for one in packets if one.track == track) for track in {one.track for one in packets})
    return packets[-1].arrived - packets[0].arrived > 1.5 * longest + 0.1
