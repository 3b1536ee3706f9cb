"""Arrival times of messages that were read late: at the pace of speech, and never before they can have been sent."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowcore import Packet
from nodes.audio.g711 import RATE
from nodes.jitterbuffer.timeline import Timeline
from nodes.net.connection import STALL_THRESHOLD
from nodes.ringcx.arrival_times import estimate_arrivals
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.messages import TRACKS, parse

SLOT = 0.020


class EventReport:
    def __init__(self) -> None:
        self.events: list[str] = []

    def event(self, event: str, **data: object) -> None:
        self.events.append(event)

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None: ...
    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None: ...


def sent(seconds: float, length: float, phase: float) -> list[tuple[float, bytes]]:
    """The messages of two parties of equal length in packets of ``length`` seconds, and when."""
    caller, data = CallSender({}), bytes(round(length * RATE))
    places = range(1, round(seconds / length) + 1)
    return [(place * length + phase, caller.media(track, data)) for place in places for track in TRACKS.values()]


@pytest.mark.fault(26)
def test_parties_that_speak_at_once_are_dated_at_once():
    messages = [message for _, message in sent(0.1, 0.02, 0.0)]
    times = [at for _, at in estimate_arrivals(messages, 10.0, 10.1)]
    assert times == pytest.approx([10.02, 10.02, 10.04, 10.04, 10.06, 10.06, 10.08, 10.08, 10.1, 10.1])
    assert [message for message, _ in estimate_arrivals(messages, 10.0, 10.1)] == messages


def test_what_a_stuck_network_sent_at_once_is_not_dated_before_we_looked():
    times = [at for _, at in estimate_arrivals([message for _, message in sent(3.0, 0.02, 0.0)], 10.0, 10.5)]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (10.0, 10.5)


def test_what_is_no_audio_came_before_what_follows():
    caller = CallSender({})
    messages = [caller.start(), b"no JSON", caller.media("agent", bytes(160)), caller.media("agent", bytes(160))]
    messages.append(caller.stop(1, ""))
    assert [at for _, at in estimate_arrivals(messages, 10.0, 10.5)] == pytest.approx([10.48, 10.48, 10.48, 10.5, 10.5])


@pytest.mark.fault(26)
@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    length=st.sampled_from([0.02, 0.1, 0.2]),
    phase=st.floats(0.0, 0.02),
    stalls=st.lists(st.tuples(st.floats(0.0, 8.0), st.floats(0.11, 1.0)), min_size=1, max_size=10),
)
@example(length=0.02, phase=0.007, stalls=[(4.0, 0.5)] * 8)
@example(length=0.1, phase=0.007, stalls=[(4.0, 1.0)] * 8)
def test_no_stall_of_ours_is_drift_of_a_party(length, phase, stalls):
    books = EventReport()
    line = Timeline(lambda *place: None, lambda: None, books, pause=1.0, settle=0.3, collapse=False)
    messages, now, since = sent(100.0, length, phase), 0.0, 0.0
    for quiet, stall in [(20.0, 0.0), *stalls, (30.0, 0.0)]:
        steps = [SLOT] * round(quiet / SLOT) + ([stall] if stall else [])
        for step in steps:
            since, now = now, now + step
            came = [message for at, message in messages if since < at <= now]
            times = (
                estimate_arrivals(came, since, now)
                if now - since > STALL_THRESHOLD
                else [(message, now) for message in came]
            )
            for message, at in times:
                media = parse(message)
                line.follow(Packet(TRACKS[media.perspective], media.seq, media.data, at))
    assert books.events == []
