"""The messages of a RingCX call as its sender writes them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Packet
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.call_state import CallState
from nodes.ringcx.messages import Connected, Start, Stop


@given(st.dictionaries(st.sampled_from(["call_id", "session_id", "ani"]), st.text(max_size=20)), st.binary(min_size=1))
@pytest.mark.parametrize("dialect", ["camel", "upper"])
@pytest.mark.parametrize("numbers", [(None, None, None), (1, 2, 3)])
def test_the_receiver_understands_the_sender(numbers: Any, dialect: Any, said: dict[str, str], audio: bytes) -> None:
    sender, call = CallSender(said, dialect), CallState()
    assert call.receive(sender.connected(), 0.0) == Connected()
    started = call.receive(sender.start(), 0.0)
    assert isinstance(started, Start)
    assert {name: started.attributes[name] for name in said} == said
    for track, own, number in zip(("agent", "customer", "agent"), (1, 1, 2), numbers, strict=True):
        assert call.receive(sender.media(track, audio, number), 3.0) == Packet(track, number or own, audio, 3.0)
    assert call.receive(sender.stop(7, "2026-01-01T00:00:00Z"), 4.0) == Stop(7.0)
    assert call.announced == 7.0
    assert call.seconds == 2 * len(audio) / 8000


@pytest.mark.parametrize(("url", "begin"), [("ws://x/", "ws://x/?"), ("ws://x/?a=b", "ws://x/?a=b&")])
@pytest.mark.parametrize(("dialect", "query"), [("camel", "callId=1+2&ani=%2B1"), ("upper", "call_id=1+2&ani=%2B1")])
def test_the_request_has_the_call_in_its_query(url: str, begin: str, dialect: Any, query: str) -> None:
    assert CallSender({"call_id": "1 2", "ani": "+1"}, dialect).request_url(url) == begin + query
