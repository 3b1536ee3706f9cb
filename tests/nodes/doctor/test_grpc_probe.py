"""The doctor's probe of one stream, without a socket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from websockets.datastructures import Headers
from websockets.http11 import Request

from nodes.doctor.grpc_probe import GrpcProbe
from nodes.doctor.probe import Setup
from nodes.doctor.remarks import remarks
from nodes.doctor.report import page
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.dialog_sender import METHOD, DialogSender


def examined(messages: Iterable[tuple[float, bytes]], cancelled: bool = False) -> dict:
    """The facts about a stream of these messages, each with its second."""
    now = [100.0]
    probe = GrpcProbe(
        Request(METHOD, Headers()), "192.0.2.1", Setup(lambda: now[0], None, lambda: None, [].append, [].append)
    )
    for at, message in messages:
        now[0] = 100.0 + at
        probe.receive(message, now[0])
    if not cancelled:
        probe.finish()
    probe.end("cancelled" if cancelled else "stop")
    return probe.examination.facts()


def talk(sender: DialogSender, since: float, seconds: float) -> Iterator[tuple[float, bytes]]:
    for n in range(round(seconds * 10)):
        for track in ("agent", "customer"):
            yield since + n / 10, sender.media(track, bytes(800))


def test_holds_are_told_with_their_time_and_their_pause():
    sender = DialogSender({"call_id": "1"})
    facts = examined(
        [
            (0.0, sender.dialog_init()),
            (0.0, sender.segment_start("agent")),
            (0.5, sender.segment_start("customer")),
            *talk(sender, 1.0, 2.0),
            (3.0, sender.info("customer", "hold")),
            (33.0, sender.info("customer", "unhold")),
            *talk(sender, 33.0, 2.0),
            (35.0, sender.segment_stop("agent")),
            (35.5, sender.segment_stop("customer")),
        ]
    )
    assert facts["reports"] == [
        {"event": "hold", "segment": 2, "after": 3.0},
        {"event": "unhold", "segment": 2, "after": 33.0},
    ]
    assert [(one["started"], one["stopped"]) for one in facts["segments"]] == [(0.0, 35.0), (0.5, 35.5)]
    assert facts["media"]["2 contact"]["pauses_s"] == [30.1]
    assert facts["media"]["2 contact"]["pace"] == 1.03  # of its second before the hold and its second after it
    text = page([facts], [])
    assert "hold       reported after 3.0 s for segment 2" in text
    assert "ended  by the peer, 0.0 s after the last Stop" in text


def test_every_oddity_is_reported():
    sender = DialogSender({})
    facts = examined(
        [
            (0.0, b"\xff\xff"),
            (0.0, b"\x3a\x00"),  # field 7, of a newer protocol
            (0.0, sender.segment_start("agent", pb.OPUS)),
            (0.1, sender.media("agent", bytes(9), 5)),
            (0.1, sender.media("nowhere", bytes(800), 5)),
            (0.2, sender.media("agent", bytes(800), 77)),
            *((0.2, sender.segment_stop(f"other-{n}")) for n in range(70)),
        ],
        cancelled=True,
    )
    said = "\n".join(remarks(facts))
    for words in (
        "no dialog_init came",
        "1 messages do not follow the protocol (not_protobuf)",
        "unknown events came",
        "segment 1 agent is OPUS at 8000 Hz, 100 ms a message: `ringcx` refuses such a call",
        "segment 2 unknown has audio and no start",
        "8 messages are of further segments",
        "no audio of the contact came: is Segment Streaming checked",
    ):
        assert words in said
    assert (facts["end"]["by"], facts["end"]["how"]) == ("peer", "cancelled")


def test_messages_that_came_with_their_request_are_not_older_than_it():
    facts = examined([(-0.001, DialogSender({"call_id": "1"}).dialog_init())])
    assert facts["messages"]["seconds_to_first"] == {"dialog_init": 0.0}


def test_a_stream_that_is_cancelled_before_its_stops_has_a_remark():
    sender = DialogSender({"call_id": "1"})
    facts = examined([(0.0, sender.dialog_init()), (0.0, sender.segment_start("agent"))], cancelled=True)
    assert "the stream was cancelled before all segments had stopped" in remarks(facts)
    assert "cancelled  by the peer" in page([facts], [])


def test_more_fields_than_the_report_lists_are_counted():
    many = {f"name-{n}": "x" for n in range(100)}
    fields = examined([(0.0, DialogSender(many).dialog_init())])["messages"]["fields"]["dialog_init"]
    assert len(fields) == 65
    assert fields["…"] == "37 more"
