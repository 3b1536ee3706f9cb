import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.dialog_text import NO_MESSAGE, to_bytes, to_text


@given(st.integers(0, 2**32 - 1), st.binary(max_size=20), st.integers(0, 2**31 - 1), st.text(max_size=5))
def test_a_message_is_the_same_after_its_text(seq, payload, codec, segment):
    segment = segment.encode(errors="replace").decode()
    audio = pb.AudioContent(payload=payload, seq=seq)
    media = pb.StreamEvent(segment_media=pb.SegmentMediaEvent(segment_id=segment, audio_content=audio))
    start = pb.SegmentStartEvent(segment_id=segment, audio_format=pb.AudioFormat(codec=codec))
    for event in (media, pb.StreamEvent(session_id=segment, segment_start=start)):
        text = to_text(event)
        assert "\n" not in text
        assert pb.StreamEvent.FromString(to_bytes(text)) == event


@pytest.mark.parametrize("text", [NO_MESSAGE, "", '{"segment_media": 1}', '{"event":"Start"'])
def test_another_text_is_no_message(text):
    with pytest.raises(DecodeError):
        pb.StreamEvent.FromString(to_bytes(text))
