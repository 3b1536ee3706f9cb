"""What networks and phone systems do to the time of a call, over real sockets, at the pace of a call, up to the file.

Where everything stands to the sample, and every variant: tests/nodes/transforms/test_reorder_timing.py.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from nodes.ringcx import ringcx_grpc_pb2 as pb
from tests.support.live import Live
from tests.support.phone import MESSAGE, Phone, said, stereo
from tests.support.phone_grpc import CHUNK, GrpcPhone, over_grpc
from tools.load import mulaw, samples

pytestmark = pytest.mark.slow

SECONDS = 3.0
RATE = 8000
TRACKS = ("agent", "customer")


def at_pace(messages: Iterable[tuple[float, bytes]], say: Callable[..., None]) -> None:
    """Send each message at its time, in seconds from now."""
    begun, timer = time.monotonic(), threading.Event()
    for at, message in messages:
        timer.wait(begun + at - time.monotonic())
        say(message)


def recorded(folder, arrival: Callable[[str, float], float]):
    """A call whose packets come when ``arrival`` says, of the track and the end of the packet; and its metadata."""
    settings = [f"wav.path={folder}/{{call_id}}.wav", "ordered.hold=fill"]
    with Live("record", settings, calls=1) as live:
        phone = Phone(live.url)
        phone.start()
        parts = {track: mulaw(7, track, SECONDS) for track in TRACKS}
        packets = [
            (arrival(track, (at + MESSAGE) / RATE), at, track)
            for at in range(0, len(parts["agent"]), MESSAGE)
            for track in TRACKS
        ]
        messages = [
            (when, phone.sender.media(track, parts[track][at : at + MESSAGE])) for when, at, track in sorted(packets)
        ]
        at_pace(messages, phone.say)
        phone.stop()
        phone.hang_up()
    return stereo(folder / "one.wav"), json.loads((folder / "one.wav.json").read_text())


@pytest.mark.fault(67)
def test_a_stall_and_burst_of_one_party_costs_the_recording_no_sample_of_either(tmp_path):
    heard, metadata = recorded(tmp_path, lambda track, at: 2.0 if track == "customer" and 1.0 <= at < 2.0 else at)
    assert np.array_equal(heard, said(7, SECONDS))
    assert metadata["holds"] == []
    assert metadata["complete"]


@pytest.mark.fault(67)
def test_a_stall_of_the_whole_network_is_made_up_for_in_the_recording_whichever_queue_comes_first(tmp_path):
    late = {"agent": 2.5, "customer": 2.501}
    heard, metadata = recorded(tmp_path, lambda track, at: late[track] if 1.0 <= at <= 2.5 else at)
    assert np.array_equal(heard, said(7, SECONDS))
    assert metadata["holds"] == []
    assert metadata["complete"]


@pytest.mark.fault(67)
def test_batches_that_alternate_do_not_lengthen_a_recording(tmp_path):
    def arrival(track: str, at: float) -> float:
        phase = 0.25 if track == "customer" else 0.0
        return min(-(-(at - phase) // 0.5) * 0.5 + phase, SECONDS)

    heard, metadata = recorded(tmp_path, arrival)
    assert len(heard) <= (SECONDS + 0.3) * RATE
    for channel, track in enumerate(TRACKS):
        assert samples(7, track, SECONDS).tobytes() in np.ascontiguousarray(heard[:, channel]).tobytes()
    assert metadata["holds"] == []


@pytest.mark.fault(68)
def test_an_agent_who_takes_over_is_recorded_whole_where_he_spoke_though_the_first_ones_stop_is_late(tmp_path):
    settings = [f"wav.path={tmp_path}/{{session_id}}.wav", "ordered.hold=fill"]
    with Live(over_grpc(tmp_path, "record"), settings, calls=1) as live:
        phone = GrpcPhone(live.url)
        phone.start()
        spoken = {
            "customer": (0.0, mulaw(7, "customer", 5.0)),
            "agent": (0.0, mulaw(7, "agent", 1.5)),
            "second": (1.5, mulaw(8, "agent", 3.5)),
        }
        messages = [
            (begun + (at + CHUNK) / RATE, segment, data[at : at + CHUNK])
            for segment, (begun, data) in spoken.items()
            for at in range(0, len(data), CHUNK)
        ]
        events = [(at, 2, phone.sender.media(segment, data)) for at, segment, data in messages]
        events += [(1.5, 1, phone.sender.segment_start("second", participant=pb.AGENT))]
        events += [(4.5, 0, phone.sender.segment_stop("agent"))]
        at_pace([(at, message) for at, _, message in sorted(events)], phone.say)
        phone.say(phone.sender.segment_stop("second"))
        assert phone.hang_up() == "OK"
    heard = stereo(tmp_path / "1.wav")
    metadata = json.loads((tmp_path / "1.wav.json").read_text())
    agent, customer = (np.ascontiguousarray(heard[:, channel]).tobytes() for channel in (0, 1))
    assert customer.startswith(samples(7, "customer", 5.0).tobytes())
    assert agent.startswith(samples(7, "agent", 1.5).tobytes())
    begun = agent.find(samples(8, "agent", 3.5).tobytes()) / 2 / RATE
    assert abs(begun - 1.5) <= 0.1  # on a busy machine; without one, 20 ms
    assert metadata["holds"] == []
    assert metadata["complete"]
