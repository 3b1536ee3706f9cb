"""RingCX's gRPC events: what they come to, in every order."""

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Packet
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.call_state import MAX_BAD_IN_A_ROW, MIN_BAD_IN_ALL, Ignored, ProtocolError
from nodes.ringcx.dialog_sender import DialogSender
from nodes.ringcx.dialog_state import MAX_EARLY, MAX_SEGMENTS, DialogState, Note
from nodes.ringcx.messages import Start

SAID = {
    "call_id": "u1",
    "dialog_id": "d1",
    "session_id": "s1",
    "ani": "100",
    "dnis": "200",
    "account_id": "a",
    "rc_account_id": "r",
}
SENDER = DialogSender(SAID | {"team": "blue"})


def noise(seed=1, size=800):
    return random.Random(seed).randbytes(size)


def receive_all(*messages, dialog=None, end=True):
    """All results of a dialog for these messages."""
    dialog = dialog or DialogState()
    results = [result for n, message in enumerate(messages) for result in dialog.receive(message, float(n))]
    return results + (list(dialog.end(float(len(messages)))) if end else [])


def heard(results, track):
    return b"".join(result.data for result in results if isinstance(result, Packet) and result.track == track)


def reasons(results):
    return [result.reason for result in results if isinstance(result, Ignored)]


def opened(*tracks):
    return [SENDER.dialog_init(), *map(SENDER.segment_start, tracks)]


def test_a_call_comes_to_a_start_and_packets_of_two_tracks():
    teller = DialogSender(SAID)
    sent = {track: noise(track == "agent", 8000) for track in ("agent", "customer")}
    messages = opened("customer", "agent")
    for at in range(0, 8000, 800):
        messages += [teller.media(track, voice[at : at + 800]) for track, voice in sent.items()]
    results = receive_all(*messages, teller.segment_stop("agent"), teller.segment_stop("customer"))
    start, *packets = results
    assert isinstance(start, Start)
    assert {packet.track for packet in packets} == set(sent)
    for track, voice in sent.items():
        assert heard(results, track) == voice
        seqs = [packet.seq for packet in packets if packet.track == track]
        assert seqs == list(range(seqs[0], seqs[0] + 10))


def test_start_has_the_names_that_it_has_over_websocket():
    product = pb.SegmentStartEvent(
        segment_id="x", participant=pb.Participant(id="77", type=pb.AGENT), product=pb.Product(id="9", type=pb.QUEUE)
    )
    begun = pb.StreamEvent(session_id="s1", segment_start=product).SerializeToString()
    start = receive_all(SENDER.dialog_init(), begun)[0]
    known = {"agent_id": "77", "product_id": "9", "product_type": "queue", "dialog_type": "inbound"}
    known |= {"agent_segment_id": "x"}
    assert start.attributes == SAID | known | {"dialog.team": "blue", "dialog.uii": "u1"}


@pytest.mark.parametrize(
    ("attributes", "call_id"),
    [({"UII": "u1"}, "u1"), ({"rcxUii": "u1"}, "u1"), ({"callUii": "u1"}, "u1"), ({"uii": ""}, "d1"), ({}, "d1")],
)
def test_the_call_id_is_the_uii_and_without_one_the_dialogs(attributes, call_id):
    dialog = pb.DialogInitEvent(dialog=pb.Dialog(id="d1", attributes=attributes))
    begun = pb.StreamEvent(session_id="s1", dialog_init=dialog).SerializeToString()
    start = receive_all(begun, SENDER.segment_start("agent"), SENDER.media("agent", noise()))[0]
    assert (start.attributes["call_id"], start.attributes["dialog_id"]) == (call_id, "d1")


@pytest.mark.parametrize(
    ("kind", "track"), [(pb.CONTACT, "customer"), (pb.AGENT, "agent"), (pb.BOT, "agent"), (3, "customer")]
)
def test_participants_have_sides(kind, track):
    results = receive_all(SENDER.dialog_init(), SENDER.segment_start("x", participant=kind), SENDER.media("x", noise()))
    assert heard(results, track) == noise()


def test_a_bot_has_a_track_of_its_own_if_asked_for():
    begun = SENDER.segment_start("x", participant=pb.BOT)
    assert (
        heard(receive_all(SENDER.dialog_init(), begun, SENDER.media("x", noise()), dialog=DialogState("bot")), "bot")
        == noise()
    )


def test_audio_before_its_segment_waits_for_it():
    media = [SENDER.media("agent", noise(n)) for n in range(3)]
    results = receive_all(SENDER.dialog_init(), *media, SENDER.segment_start("agent"))
    assert heard(results, "agent") == noise(0) + noise(1) + noise(2)
    assert [result.arrived for result in results if isinstance(result, Packet)] == [1.0, 2.0, 3.0]  # as they came


def test_audio_of_several_before_their_segments_keeps_its_order():
    media = [SENDER.media(track, noise(n)) for n in range(3) for track in ("agent", "customer")]
    results = receive_all(SENDER.dialog_init(), *media, *map(SENDER.segment_start, ("agent", "customer")))
    assert [r.track for r in results if isinstance(r, Packet)] == ["agent", "customer"] * 3


def test_audio_of_a_segment_that_never_starts_is_counted_and_bounded():
    results = receive_all(*opened(), *(SENDER.media("nobody", noise(n)) for n in range(50)), end=False)
    assert len(reasons(results)) == 50 - MAX_EARLY * 10
    results = receive_all(*opened(), SENDER.media("nobody", noise()))
    assert reasons(results) == ["media_without_segment"]


def test_a_segment_that_starts_before_its_dialog_is_heard_and_has_the_dialogs_name():
    results = receive_all(SENDER.segment_start("agent"), SENDER.dialog_init(), SENDER.media("agent", noise()))
    assert results[0].attributes["dialog_id"] == "d1"
    assert heard(results, "agent") == noise()


def test_a_dialog_init_behind_the_first_audio_still_names_the_call():
    early = [SENDER.media("agent", noise(n)) for n in range(3)]
    results = receive_all(SENDER.segment_start("agent"), *early, SENDER.dialog_init(), SENDER.media("agent", noise(3)))
    assert results[0].attributes["dialog_id"] == "d1"
    assert heard(results, "agent") == b"".join(map(noise, range(4)))


def test_a_dialog_init_behind_2_s_of_audio_is_counted_and_all_is_heard():
    media = [SENDER.media("agent", noise(n)) for n in range(25)]
    results = receive_all(SENDER.segment_start("agent"), *media, SENDER.dialog_init(), SENDER.media("agent", noise(25)))
    assert "dialog_id" not in results[0].attributes
    assert reasons(results) == ["late_dialog_init"]
    assert heard(results, "agent") == b"".join(map(noise, range(26)))


def test_without_dialog_init_the_call_has_no_name_but_is_heard():
    results = receive_all(SENDER.segment_start("agent"), SENDER.media("agent", noise()))
    assert isinstance(results[0], Start)
    assert heard(results, "agent") == noise()


def test_what_comes_twice_changes_nothing():
    messages = [SENDER.dialog_init()] * 2 + [SENDER.segment_start("agent")] * 2
    messages += [SENDER.media("agent", noise(), 1), *[SENDER.segment_stop("agent")] * 2, SENDER.segment_stop("nobody")]
    results = receive_all(*messages)
    wanted = ["second_dialog_init", "second_segment_start", "second_segment_stop", "stop_without_segment"]
    assert reasons(results) == wanted
    assert heard(results, "agent") == noise()


def test_audio_after_the_stop_of_its_segment_is_heard():
    messages = [*opened("agent"), SENDER.segment_stop("agent"), SENDER.media("agent", noise())]
    assert heard(receive_all(*messages), "agent") == noise()


def test_a_segment_that_starts_again_is_reported_and_continues_behind_its_audio():
    again = [SENDER.segment_stop("agent"), SENDER.segment_start("agent")]
    first, second = SENDER.media("agent", noise(1), 5), SENDER.media("agent", noise(2), 1)
    results = receive_all(*opened("agent"), first, *again, second)
    assert [result for result in results if isinstance(result, Note)] == [
        Note("participant_joined", {"agent_id": "agent", "agent_segment_id": "agent", "track": "agent"})
    ]
    one, two = (result for result in results if isinstance(result, Packet))
    assert two.seq == one.seq + 1


def test_holds_are_reported_by_name_and_never_with_data():
    event = pb.StreamEvent(segment_info=pb.SegmentInfoEvent(segment_id="agent", event="HOLD", data="4111 1111"))
    results = receive_all(*opened("agent"), event.SerializeToString(), SENDER.info("nobody", "unhold"))
    assert results[:2] == [
        Note("segment_reported", {"what": "HOLD", "track": "agent"}),
        Note("segment_reported", {"what": "unhold", "track": ""}),
    ]


@pytest.mark.parametrize(("codec", "name"), [(pb.OPUS, "OPUS"), (pb.FLAC, "FLAC"), (9, "9")])
def test_codecs_that_are_not_taken_are_refused_by_name(codec, name):
    with pytest.raises(ProtocolError, match=f"{name} at 8000 Hz is not taken: set the Start Stream node to PCMU"):
        receive_all(SENDER.dialog_init(), SENDER.segment_start("agent", codec))


def test_other_rates_are_refused():
    start = pb.SegmentStartEvent(segment_id="x", audio_format=pb.AudioFormat(codec=pb.PCMU, rate=16000))
    with pytest.raises(ProtocolError, match="PCMU at 16000 Hz"):
        receive_all(pb.StreamEvent(segment_start=start).SerializeToString())


def test_pcmu_is_meant_where_no_format_is_named():
    start = pb.StreamEvent(segment_start=pb.SegmentStartEvent(segment_id="x")).SerializeToString()
    assert heard(receive_all(start, SENDER.media("x", noise())), "customer") == noise()


def test_garbage_is_counted_and_too_much_of_it_ends_the_call():
    assert reasons(receive_all(b"\xff", SENDER.dialog_init())) == ["bad_message:not_protobuf"]
    assert reasons(receive_all(b"", b"\x7a\x00")) == ["unknown_event"] * 2  # legal messages of a newer protocol
    with pytest.raises(ProtocolError, match="too many messages"):
        receive_all(*[b"\xff"] * MAX_BAD_IN_A_ROW)
    with pytest.raises(ProtocolError):
        receive_all(*[b"\xff", b"\xff", SENDER.dialog_init()] * MIN_BAD_IN_ALL)


@pytest.mark.fault(22)
def test_a_hold_sent_as_empty_media_never_ends_a_call():
    hold = [SENDER.media("agent", b"")] * 2 * MIN_BAD_IN_ALL
    results = receive_all(*opened("agent"), SENDER.media("agent", noise()), *hold, SENDER.media("agent", noise(2)))
    assert reasons(results) == ["empty_media"] * len(hold)
    assert heard(results, "agent") == noise() + noise(2)


def test_no_more_participants_are_remembered_than_a_call_has():
    starts = [SENDER.segment_start(str(n), participant=pb.AGENT) for n in range(MAX_SEGMENTS + 1)]
    assert reasons(receive_all(*starts)) == ["too_many_segments"]
    assert reasons(receive_all(*starts[:-1], SENDER.segment_stop("0"), starts[-1])) == []


MESSAGES = st.sampled_from(
    [
        SENDER.dialog_init(),
        SENDER.segment_start("agent"),
        SENDER.segment_start("customer", pb.PCMA),
        SENDER.segment_start("other", pb.L16, pb.AGENT),
        SENDER.segment_stop("agent"),
        SENDER.info("agent", "hold"),
        SENDER.media("agent", noise(1), 7),
        SENDER.media("agent", noise(2), 8),
        SENDER.media("customer", noise(3), 1),
        SENDER.media("other", noise(4), 3),
        SENDER.media("other", noise(5, 801), 4),
    ]
)


@pytest.mark.fault(23)
@given(st.lists(MESSAGES, max_size=40))
def test_in_any_order_audio_comes_after_the_start_and_is_accounted_for(messages):
    results = receive_all(*messages)
    kinds = [type(result) for result in results]
    assert kinds.count(Start) <= 1
    assert Packet not in kinds or kinds.index(Start) < kinds.index(Packet)


@pytest.mark.fault(21)
@given(st.binary(max_size=300))
def test_any_bytes_are_judged(data):
    receive_all(data)


@pytest.mark.fault(21)
@given(
    st.sampled_from([SENDER.dialog_init(), SENDER.segment_start("a", participant=2), SENDER.media("a", noise())]),
    st.data(),
)
def test_any_change_of_a_message_is_judged(message, data):
    at = data.draw(st.integers(0, len(message) - 1))
    changed = message[:at] + bytes([data.draw(st.integers(0, 255))]) + message[at + 1 :]
    with contextlib.suppress(ProtocolError):  # nothing else
        receive_all(*opened("agent"), changed)


@pytest.mark.parametrize("late", range(5))
def test_a_chunk_that_comes_150_ms_late_leaves_no_hole_in_the_words_of_an_agent_who_takes_over(late):
    first, second = noise(1, 12000), noise(2, 8000)
    dialog = DialogState()
    results = receive_all(
        *opened("agent"), SENDER.segment_start("second", participant=pb.AGENT), dialog=dialog, end=False
    )
    for number in range(15):
        chunk = SENDER.media("agent", first[number * 800 :][:800])
        results += dialog.receive(chunk, 0.1 * (number + 1))
    for number in range(10):
        arrived = max(1.5 + 0.1 * (number + 1), 1.6 + 0.1 * late + 0.15 if number >= late else 0.0)
        results += dialog.receive(SENDER.media("second", second[number * 800 :][:800]), arrived)
    results += dialog.end(4.0)
    assert heard(results, "agent").startswith(first)
    assert heard(results, "agent").endswith(second)
