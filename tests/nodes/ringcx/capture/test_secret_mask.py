"""A capture keeps every byte of a message but its secrets, and no audio of a party that an operator silenced."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.audio.g711 import decode
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.capture.secret_mask import WebSocketMask
from nodes.ringcx.capture.secret_mask_grpc import GrpcMask
from nodes.ringcx.credentials import Credentials
from nodes.ringcx.dialog_sender import DialogSender

SECRET = 's3cr"t-of\\the-profile'
MASK = WebSocketMask(Credentials(SECRET))
NAMES = st.sampled_from(["event", "callId", "metadata", "note", "accessToken", "client_secret", "x"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(SECRET) | st.just(f"Bearer {SECRET}")
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))
SPOKEN = bytes(range(160))


@given(JSON, st.booleans(), st.integers(0, 40))
def test_a_known_secret_is_nowhere_also_in_what_is_no_json(message, spaced, cut):
    data = json.dumps(message, indent=1 if spaced else None).encode()[cut:]
    masked = MASK.message(data, ())
    assert json.dumps(SECRET)[1:-1].encode() not in masked
    assert SECRET.encode() not in masked


@given(st.sampled_from(["secret", "access_token", "Password", "x-authorization", "credential"]), JSON)
def test_a_value_under_a_name_that_tells_of_a_secret_is_masked(name, more):
    message = {"event": "Start", "metadata": {"callId": "c", name: "hidden-1", "deep": {name: ["hidden-2", 12345678]}}}
    masked = WebSocketMask(None).message(json.dumps(message | {"more": more}).encode(), ())
    assert not any(planted in masked for planted in (b"hidden-1", b"hidden-2", b"12345678"))
    assert json.loads(masked)["metadata"]["callId"] == "c"


@given(st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).replace("secret", "x").encode()))
def test_a_message_without_a_secret_keeps_every_byte(data):
    if not any(word in data.lower() for word in (b"secret", b"token", b"password", b"s3cr", b"\\u")):
        assert MASK.message(data, ()) == data


@pytest.mark.parametrize("spelled", ["Media", "MEDIA"])
def test_audio_of_a_silenced_party_is_silent_and_that_of_the_other_stays(spelled):
    for track in ("agent", "customer"):
        data = CallSender({"call_id": "c"}).media(track, SPOKEN).replace(b"Media", spelled.encode())
        masked = MASK.message(data, ("agent",))
        payload = base64.b64decode(json.loads(masked)["media"])
        assert payload == (b"\xff" * 160 if track == "agent" else SPOKEN)
        assert len(masked) == len(data)


@pytest.mark.parametrize("cut", [slice(1, None), slice(None, -1), slice(None, 120)])
def test_a_broken_message_of_a_paused_call_has_no_audio(cut):
    data = CallSender({"call_id": "c"}).media("agent", SPOKEN)[cut]
    masked = MASK.message(data, ("agent", "customer", "bot"))
    assert base64.b64encode(SPOKEN)[30:60] not in masked
    assert len(masked) == len(data)


def test_over_grpc_secrets_are_masked_and_all_other_messages_keep_every_byte():
    mask, sender = GrpcMask(Credentials(SECRET)), DialogSender({"call_id": "c"})
    event = pb.StreamEvent.FromString(sender.dialog_init())
    event.dialog_init.dialog.attributes.update({"note": SECRET, "apiToken": "hidden", "queue": "7"})
    masked = mask.message(event.SerializeToString(), ())
    kept = pb.StreamEvent.FromString(masked).dialog_init.dialog.attributes
    assert (kept["note"], kept["apiToken"], kept["queue"]) == ("***", "***", "7")
    for data in (sender.dialog_init(), sender.segment_start("agent"), sender.media("agent", SPOKEN), b"\xff", b""):
        assert mask.message(data, ()) == data
    assert SECRET.encode() not in mask.message(b"\xff" + SECRET.encode(), ())


def test_over_grpc_all_secrets_of_a_map_are_masked():
    event = pb.StreamEvent.FromString(DialogSender({"call_id": "c"}).dialog_init())
    event.dialog_init.dialog.attributes.update({f"note {number}": SECRET for number in range(50)})
    masked = GrpcMask(Credentials(SECRET)).message(event.SerializeToString(), ())
    kept = pb.StreamEvent.FromString(masked).dialog_init.dialog.attributes
    assert {kept[f"note {number}"] for number in range(50)} == {"***"}


@pytest.mark.parametrize("codec", [pb.PCMU, pb.PCMA, pb.L16])
def test_over_grpc_a_silenced_party_is_silent_in_its_codec(codec):
    mask, sender = GrpcMask(None), DialogSender({"call_id": "c"})
    for track in ("agent", "customer"):
        start = pb.StreamEvent.FromString(sender.segment_start(track))
        start.segment_start.audio_format.codec = codec
        mask.message(start.SerializeToString(), ())
    payloads = [
        pb.StreamEvent.FromString(
            mask.message(sender.media(track, SPOKEN), ("agent",))
        ).segment_media.audio_content.payload
        for track in ("agent", "customer")
    ]
    assert len(set(payloads[0])) == 1
    assert payloads[1] == SPOKEN
    if codec == pb.PCMU:
        assert not decode(np.frombuffer(payloads[0], np.uint8)).any()
    early = pb.StreamEvent.FromString(GrpcMask(None).message(sender.media("agent", SPOKEN), ("customer",)))
    assert SPOKEN not in early.SerializeToString()  # whose audio it is was not said yet
    assert mask.message(b"\xff" + SPOKEN, ("agent",)) == b"\xff" * 161
