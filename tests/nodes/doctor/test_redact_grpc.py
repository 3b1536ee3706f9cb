from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from nodes.audio.g711 import RATE
from nodes.doctor.redact_grpc import redact_event
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.credentials import Credentials
from nodes.ringcx.dialog_sender import DialogSender
from nodes.ringcx.dialog_text import NO_MESSAGE, to_bytes
from nodes.ringcx.redact import Redactor

SECRET = "s3cr3t-of-the-account"
TEXTS = st.sampled_from(["", "1", SECRET, f"Bearer {SECRET}", f"x{SECRET}y"])


@given(st.dictionaries(st.sampled_from(["call_id", "ani", "dialog_id", "session_id", "x", SECRET, "token"]), TEXTS))
def test_a_known_secret_is_nowhere_in_what_is_kept(attributes):
    sender = DialogSender(attributes)
    kept = [redact_event(sender.dialog_init(), Redactor(Credentials(SECRET)))]
    kept.append(redact_event(sender.info("agent", SECRET), Redactor(Credentials(SECRET))))
    assert SECRET not in "".join(kept)


def test_an_unknown_attribute_a_name_and_free_text_are_masked():
    start = pb.SegmentStartEvent(segment_id="1", participant=pb.Participant(id="7", name="Ada Lovelace"))
    info = pb.SegmentInfoEvent(segment_id="1", event="hold", data="4111 1111 1111 1111")
    dialog = pb.DialogInitEvent(dialog=pb.Dialog(id="d", attributes={"UII": "2026", "weather": "sunshine"}))
    kept = [
        MessageToDict(pb.StreamEvent.FromString(to_bytes(redact_event(event.SerializeToString(), Redactor(None)))))
        for event in (
            pb.StreamEvent(segment_start=start),
            pb.StreamEvent(segment_info=info),
            pb.StreamEvent(dialog_init=dialog),
        )
    ]
    assert kept == [
        {"segmentStart": {"segmentId": "1", "participant": {"id": "7", "name": "***"}}},
        {"segmentInfo": {"segmentId": "1", "event": "hold", "data": "***"}},
        {"dialogInit": {"dialog": {"id": "d", "attributes": {"UII": "2026", "weather": "***"}}}},
    ]


def test_a_call_keeps_what_it_needs_to_be_played_again():
    sender = DialogSender({"call_id": "c-1", "session_id": "2", "ani": "555", "account_id": "9"})
    for message in (
        sender.dialog_init(),
        sender.segment_start("agent"),
        sender.media("agent", b"\x01" * (RATE // 10), 1 << 31),
        sender.info("agent", "hold"),
        sender.segment_stop("agent"),
        b"",
    ):
        assert to_bytes(redact_event(message, Redactor(None))) == message


def test_what_the_protocol_does_not_know_is_gone():
    unknown = b"\xba\x3e\x05" + SECRET[:5].encode()  # field 999
    assert redact_event(unknown, Redactor(None)) == "{}"
    assert redact_event(b"\xff", Redactor(None)) == NO_MESSAGE


@given(st.binary(max_size=80))
def test_any_bytes_are_kept_as_a_message_or_as_none(data):
    text = redact_event(data, Redactor(None))
    assert (to_bytes(text) == NO_MESSAGE.encode()) == (text == NO_MESSAGE)
