"""The life of one gRPC stream with a clock in the test's hands: time limits, pace, and who ends whom."""

from __future__ import annotations

import random

import pytest

from flowcore import Refused
from nodes.ringcx.dialog_sender import DialogSender
from nodes.ringcx.grpc_peer import BURST, GrpcPeer
from nodes.ringcx.listener_config import ListenerConfig
from tests.support.grpc_host import Host, peer

SENDER = DialogSender({"call_id": "c1", "session_id": "1", "rc_account_id": "ours"})


def talking(host: Host, **limits: float) -> GrpcPeer:
    made = peer(host, **limits)
    for message in (SENDER.dialog_init(), SENDER.segment_start("agent"), media()):
        made.receive(message, host.time)
    return made


def media(chunks: int = 1) -> bytes:
    return SENDER.media("agent", random.Random(1).randbytes(800 * chunks))


def test_a_full_house_is_known_before_anything_is_made():
    host = Host()
    host.full = True
    with pytest.raises(Refused):
        peer(host)


def test_without_dialog_init_the_stream_is_given_up_in_time():
    host = Host()
    silent = peer(host, start=30.0)
    host.time += 29.9
    silent.poll(host.time)
    assert silent.status is None
    host.time += 0.3
    silent.poll(host.time)
    assert silent.status == ("DEADLINE_EXCEEDED", "no DialogInit came")


def test_a_call_that_begins_on_hold_is_not_given_up():
    host = Host()
    made = peer(host)
    made.receive(SENDER.dialog_init(), host.time)
    host.time += 600
    made.poll(host.time)
    assert made.status is None


def test_a_dialog_without_media_is_a_call():
    host = Host()
    made = peer(host)
    made.receive(SENDER.dialog_init(), host.time)
    made.end("stop")
    assert host.inlet is not None
    assert host.inlet.reason == "stop"


def test_a_stream_without_messages_is_reported_and_is_no_call():
    host = Host()
    peer(host).end("cancelled")
    assert host.inlet is None
    assert host.report.events == ["start_missing"]


def test_a_long_hold_is_no_end_but_a_longer_one_is():
    host = Host()
    made = talking(host, idle=3600.0)
    assert host.inlet is not None
    host.time += 3599
    made.poll(host.time)
    assert made.status is None
    host.time += 2
    made.poll(host.time)
    assert made.status == ("OK", "")
    assert host.inlet.reason == "idle"


def test_a_paused_flow_stops_reading_and_its_silence_is_not_the_peers():
    host = Host()
    made = talking(host, idle=60.0)
    assert host.inlet is not None
    host.inlet.paused = True
    host.time += 59
    assert not made.wants_read(host.time)
    host.inlet.paused = False
    host.time += 59
    made.poll(host.time)
    assert made.wants_read(host.time)
    assert made.status is None


def test_a_fast_sender_is_read_at_most_at_its_speed():
    host = Host()
    made = talking(host, speed=4.0)
    read = 0.1
    began = host.time
    while host.time < began + 60:
        while made.wants_read(host.time):
            made.receive(media(), host.time)
            read += 0.1
        host.time += 0.02
    assert 4.0 * 60 <= read <= 4.0 * (60 + 2 * BURST) + 1
    made.poll(host.time)
    assert host.inlet is not None
    assert host.inlet.report.events == ["pace_exceeded"]


@pytest.mark.parametrize(("draining", "code"), [(True, "UNAVAILABLE"), (False, "INTERNAL")])
def test_when_the_flow_ends_the_stream_gets_the_reason(draining, code):
    host = Host()
    made = talking(host)
    assert host.inlet is not None
    host.inlet.end("node_failed")
    host.draining = draining
    made.poll(host.time)
    assert made.over
    assert made.status is not None
    assert made.status[0] == code


def test_when_there_is_no_room_at_the_start_the_stream_may_try_again():
    host = Host()
    made = peer(host)
    made.receive(SENDER.dialog_init(), host.time)
    made.receive(SENDER.segment_start("agent"), host.time)
    host.full = True
    made.receive(media(), host.time)
    assert made.status == ("UNAVAILABLE", "busy")
    made.end("cancelled")
    assert host.inlet is None


def test_accounts_are_asked_for_at_the_start():
    for accounts, wanted in (({"ours"}, None), ({"theirs"}, "PERMISSION_DENIED")):
        host = Host()
        made = peer(host, ListenerConfig(accounts=accounts))
        for message in (SENDER.dialog_init(), SENDER.segment_start("agent"), media()):
            made.receive(message, host.time)
        assert (made.status and made.status[0]) == wanted


def test_what_waits_to_be_mixed_at_the_end_is_not_lost():
    host = Host()
    made = talking(host)
    made.receive(SENDER.segment_start("second", participant=2), host.time)
    made.receive(SENDER.media("second", bytes(800)), host.time)
    assert host.inlet is not None
    assert len(host.inlet.packets) == 1
    made.end("stop")
    assert [len(packet.data) for packet in host.inlet.packets] == [800, 800]


def test_a_stream_that_broke_grpc_says_how_in_one_line():
    host = Host()
    talking(host).end("peer_broke_protocol", "a message is longer than 9 bytes")
    assert host.inlet is not None
    assert host.inlet.report.events == ["protocol_violated"]
    host = Host()
    peer(host).end("peer_broke_protocol", "the last message is cut")
    assert host.report.events == ["protocol_violated"]
