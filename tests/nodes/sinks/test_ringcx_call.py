"""The RingCX client against a plain `websockets` server, which knows nothing of flowcore."""

import http
import json
import socket
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from websockets.sync.server import Server, ServerConnection, serve

from flowcore import Audio, CannotStart, FlowcoreError
from flowcore.testing import NodeHarness
from nodes.sinks.ringcx_call import RingCXCall
from tests.support.live import PATIENCE

URL = "ws://127.0.0.1:{}/"


class Receiver:
    """Keeps the messages of each call; closes a call that sends a forbidden message."""

    def __init__(self) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self.over = threading.Semaphore(0)
        self.asked: list[str] = []
        self.dislikes = ""
        self.status = 0
        self.server: Server = serve(self.take, "127.0.0.1", 0, process_request=self.refuse)
        self.url = URL.format(self.server.socket.getsockname()[1])
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def refuse(self, connection: ServerConnection, _request: object) -> Any:
        return connection.respond(http.HTTPStatus(self.status), "no\n") if self.status else None

    def take(self, connection: ServerConnection) -> None:
        messages: list[dict[str, Any]] = []
        self.calls.append(messages)
        assert connection.request is not None
        self.asked.append(connection.request.path)
        for message in connection:
            messages.append(json.loads(message))
            if messages[-1]["event"] == self.dislikes:
                connection.close(1008, "not that")
                break
        self.over.release()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.thread.join()


def chunk(track: str, start: int, data: bytes) -> Audio:
    return Audio(np.frombuffer(data, np.uint8), "mulaw", 8000, track, start)


def call(receiver: Receiver, chunks: list[Audio], **config: Any) -> list[dict[str, Any]]:
    """The whole of one call as the receiver got it."""
    NodeHarness(RingCXCall, {"url": receiver.url, **config}).push(*chunks).end()
    assert receiver.over.acquire(timeout=PATIENCE)
    return receiver.calls[-1]


def heard(messages: list[dict[str, Any]], perspective: str) -> bytes:
    return b"".join(b64decode(m["media"]) for m in messages if m.get("perspective") == perspective)


def test_call_is_sent_as_ringcx_sends_it(receiver: Receiver) -> None:
    messages = call(receiver, [chunk("agent", 0, bytes(160)), chunk("customer", 0, bytes(160))], ani="123")
    assert [message["event"] for message in messages] == ["Connected", "Start", "Media", "Media", "Stop", "Stop"]
    assert messages[0] == {"event": "Connected", "protocol": "AgentSession", "version": "1.0.0"}
    assert messages[1]["metadata"] == {
        "callId": "test-flow",
        "sessionId": "1",
        "ani": "123",
        "contentType": "audio/x-mulaw",
        "sampleRateHertz": 8000,
    }
    assert [message["sequenceId"] for message in messages[2:4]] == ["1", "1"]


@pytest.mark.parametrize(("address", "query"), [("", "?"), ("?secret=a%20b", "?secret=a%20b&")])
def test_the_request_tells_of_the_call_beside_what_the_address_says(
    receiver: Receiver, address: str, query: str
) -> None:
    call(receiver, [], url=receiver.url + address, ani="+1 5")
    assert receiver.asked == [f"/{query}callId=test-flow&sessionId=1&ani=%2B1+5"]


def test_upper_dialect_and_a_shared_sequence(receiver: Receiver) -> None:
    chunks = [chunk("agent", 0, bytes(160)), chunk("customer", 0, bytes(160))]
    messages = call(receiver, chunks, dialect="upper", sequence="shared", call_id="c9")
    assert [message["event"] for message in messages] == ["CONNECTED", "START", "MEDIA", "MEDIA", "STOP", "STOP"]
    assert messages[1]["metadata"]["call_id"] == "c9"
    assert messages[1]["metadata"]["encoding"] == "MULAW"
    assert [message["sequence_id"] for message in messages[2:4]] == ["1", "2"]


@pytest.mark.parametrize("size", [1, 7, 160, 161, 1000])
def test_chunks_of_any_length_become_20_ms_messages_without_a_byte_lost(receiver: Receiver, size: int) -> None:
    voice = bytes(n * n % 251 for n in range(2011))
    messages = call(receiver, [chunk("agent", at, voice[at : at + size]) for at in range(0, len(voice), size)])
    assert heard(messages, "Participant") == voice
    assert {len(b64decode(message["media"])) for message in messages[2:-3]} == {160}


def test_hole_is_sent_as_silence_of_its_length_in_its_track_only(receiver: Receiver) -> None:
    chunks = [chunk("agent", 0, b"a" * 160), chunk("customer", 320, b"c" * 160), chunk("agent", 480, b"b" * 160)]
    messages = call(receiver, chunks)
    assert heard(messages, "Participant") == b"a" * 160 + b"\xff" * 320 + b"b" * 160
    assert heard(messages, "Conference") == b"\xff" * 320 + b"c" * 160


def test_stop_tells_each_partys_duration(receiver: Receiver) -> None:
    messages = call(receiver, [chunk("agent", 0, bytes(16000)), chunk("customer", 0, bytes(24000))])
    assert [message["metadata"]["duration"] for message in messages[-2:]] == [2, 3]


def test_a_missing_receiver_is_named_with_a_fix() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = URL.format(server.getsockname()[1])
    with pytest.raises(CannotStart, match=r"url: no call to .* start a receiver") as caught:
        NodeHarness(RingCXCall, {"url": f"{url}?secret=s3cr3t"})
    assert caught.value.field == "url"
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "127.0.0.1:3333", ""])
def test_wrong_address_is_named(url: str) -> None:
    with pytest.raises(CannotStart, match="is no WebSocket address"):
        NodeHarness(RingCXCall, {"url": url})


def test_refusal_is_named_with_its_status(receiver: Receiver) -> None:
    receiver.status = 503
    with pytest.raises(CannotStart, match="HTTP status 503"):
        NodeHarness(RingCXCall, {"url": receiver.url})


def test_receiver_that_hangs_up_fails_the_call_with_its_words(receiver: Receiver) -> None:
    receiver.dislikes = "Start"
    harness = NodeHarness(RingCXCall, {"url": receiver.url})
    assert receiver.over.acquire(timeout=PATIENCE)
    with pytest.raises(FlowcoreError, match="ended the call with 1008 not that"):
        harness.push(chunk("agent", 0, bytes(160)))
    harness.node.close()


def test_flow_that_ends_without_audio_is_a_whole_call(receiver: Receiver) -> None:
    assert [message["event"] for message in call(receiver, [])] == ["Connected", "Start", "Stop", "Stop"]


@pytest.mark.parametrize("before", [lambda harness: None, lambda harness: harness.push(chunk("agent", 0, bytes(500)))])
def test_close_without_flush_leaves_no_thread(receiver: Receiver, before: Callable[[NodeHarness], object]) -> None:
    threads = set(threading.enumerate())
    harness = NodeHarness(RingCXCall, {"url": receiver.url})
    before(harness)
    harness.node.close()
    receiver.server.shutdown()
    for thread in set(threading.enumerate()) - threads:  # the server's of this connection end by themselves too
        thread.join(PATIENCE)
        assert not thread.is_alive()
