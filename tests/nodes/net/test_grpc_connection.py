"""gRPC on a port, against the client of another implementation's state machine, in a time that the test decides."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import (
    DataFrame,
    ExtensionFrame,
    GoAwayFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from flowcore import Refused
from nodes.net.connection import BURST, MIN_FRAME_COST, PING_INTERVAL
from nodes.net.grpc_connection import ANSWER_TIMEOUT, GOAWAY_GRACE
from nodes.net.grpc_framing import MAX_MESSAGE, GrpcError, frame
from nodes.net.http2 import MAX_FRAME, MAX_HEADERS, MAX_STREAMS, PREFACE, WINDOW
from tests.support.http2 import IDLE, METHOD, USUAL, Client, Stage
from tests.support.rig import RATE, Rig, text


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    stage = Stage(**getattr(request, "param", {}))
    stage.rig = rig = Rig(service=stage.service)
    yield stage
    rig.port.close()
    for client in rig.clients:
        client.close()
    assert stage.service.connections == 0
    assert all(len(listener.reasons) == 1 for listener in stage.listeners)


def test_messages_reach_the_handler_and_the_end_is_answered(stage: Stage) -> None:
    client = Client(stage.rig)
    stream = client.open()
    client.say(stream, b"one", b"two")
    client.say(stream, b"three", end=True)
    (listener,) = stage.listeners
    assert listener.heard == [b"one", b"two", b"three"]
    assert listener.reasons == ["stop"]
    assert client.headers[stream] | {"grpc-status": "0"} == client.headers[stream]
    assert client.data[stream] == frame(b"")
    assert stream in client.ended


@pytest.mark.parametrize("size", [1, 2, 3, 5, 24, 30])
def test_a_preface_in_pieces_is_recognised(stage: Stage, size: int) -> None:
    client = Client(stage.rig, connect=False)
    data = client.h2.data_to_send()
    for at in range(0, len(data), size):
        client.socket.sendall(data[at : at + size])
        stage.rig.slots()
    client.say(client.open(), b"hello")
    assert stage.listeners[0].heard == [b"hello"]


def test_both_protocols_share_the_port(stage: Stage) -> None:
    client = Client(stage.rig)
    stream = client.open()
    websocket, recorder = stage.rig.call()
    websocket.sendall(text(b"over websocket"))
    client.say(stream, b"over grpc")
    assert recorder.heard == [b"over websocket"]
    assert stage.listeners[0].heard == [b"over grpc"]


def test_a_stream_that_is_not_read_holds_up_no_other_and_loses_nothing(stage: Stage) -> None:
    client = Client(stage.rig)
    slow, fast = client.open(), client.open()
    stage.listeners[0].reading = False
    sent = 0
    while client.h2.local_flow_control_window(slow) > 1005:
        client.say(slow, b"s" * 1000)
        sent += 1
    assert client.h2.remote_flow_control_window(slow) <= WINDOW
    for _ in range(300):
        client.say(fast, b"f" * 1000)
    assert len(stage.listeners[1].heard) == 300
    assert stage.listeners[0].heard == []
    stage.listeners[0].reading = True
    client.pump()
    assert len(stage.listeners[0].heard) == sent
    for _ in range(100):
        client.say(slow, b"s" * 1000)
    assert len(stage.listeners[0].heard) == sent + 100


def test_the_end_of_a_stream_waits_until_all_is_read(stage: Stage) -> None:
    client = Client(stage.rig)
    stream = client.open()
    (listener,) = stage.listeners
    listener.reading = False
    client.say(stream, b"last", end=True)
    assert not listener.reasons
    listener.reading = True
    client.pump()
    assert (listener.heard, listener.reasons) == ([b"last"], ["stop"])


def test_a_client_that_opens_no_more_streams_finishes_those_it_has(stage: Stage) -> None:
    client = Client(stage.rig)
    stream = client.open()
    client.socket.sendall(GoAwayFrame(0, last_stream_id=0).serialize())
    client.say(stream, b"after it", end=True)
    assert stage.listeners[0].heard == [b"after it"]
    assert client.headers[stream]["grpc-status"] == "0"


def test_while_the_process_stops_streams_go_on_and_the_connection_ends_with_the_last(stage: Stage) -> None:
    client = Client(stage.rig)
    stream = client.open()
    stage.draining = True
    stage.rig.slots()
    stage.rig.slots()
    raw = client.socket.recv(65536)
    assert GoAwayFrame(0, last_stream_id=(1 << 31) - 1).serialize() in raw
    client.h2.receive_data(raw.replace(GoAwayFrame(0, last_stream_id=(1 << 31) - 1).serialize(), b""))
    client.say(stream, b"goes on", end=True)
    assert stage.listeners[0].heard == [b"goes on"]
    assert client.headers[stream]["grpc-status"] == "0"
    client.pump()
    assert not client.lost
    late = client.open()  # which the peer opened before it read the GOAWAY
    client.say(late, b"on its way", end=True)
    assert client.headers[late]["grpc-status"] == "0"
    stage.rig.slots(round(GOAWAY_GRACE / 0.020) + 1)
    client.pump()
    assert client.lost


def test_a_cancelled_stream_ends_alone(stage: Stage) -> None:
    client = Client(stage.rig)
    first, second = client.open(), client.open()
    client.h2.reset_stream(first, ErrorCodes.CANCEL)
    client.say(second, b"goes on")
    assert stage.listeners[0].reasons == ["cancelled"]
    assert stage.listeners[1].heard == [b"goes on"]


@pytest.mark.parametrize("refusal", [None, GrpcError("UNAUTHENTICATED", "no"), Refused("busy", retry_after=5)])
@pytest.mark.parametrize("path", [METHOD, "/other/Method", "/healthz"])
def test_a_request_that_is_reset_with_its_own_bytes_harms_no_other_stream(stage: Stage, refusal, path: str) -> None:
    client = Client(stage.rig)
    good = client.open()
    stage.refusal = refusal
    hasty = client.h2.get_next_available_stream_id()
    method, kind = ("GET", "text/plain") if path == "/healthz" else ("POST", "application/grpc")
    usual = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x"), ("content-type", kind)]
    client.h2.send_headers(hasty, usual)
    client.h2.send_data(hasty, frame(b"hasty"))
    client.h2.reset_stream(hasty, ErrorCodes.CANCEL)
    client.say(good, b"goes on")
    assert stage.listeners[0].heard == [b"goes on"]
    assert not stage.rig.errors


def test_a_mistake_in_our_code_ends_one_stream_of_a_connection(stage: Stage) -> None:
    client = Client(stage.rig)
    good, bad = client.open(), client.open()
    client.say(bad, b"find a mistake")
    client.say(good, b"goes on")
    assert [listener.reasons for listener in stage.listeners] == [[], ["listener_failed"]]
    assert stage.listeners[0].heard == [b"goes on"]
    assert client.headers[bad]["grpc-status"] == "13"
    assert [type(error) for error in stage.rig.errors] == [ZeroDivisionError]
    stage.refusal = ZeroDivisionError()
    assert client.headers[client.open()]["grpc-status"] == "13"


def lose(client: Client, stream: int) -> None:
    client.socket.close()
    client.rig.slots(2)


def cancel(client: Client, stream: int) -> None:
    client.h2.reset_stream(stream)
    client.pump()


def break_framing(client: Client, stream: int) -> None:
    client.h2.send_data(stream, b"\0\xff\xff\xff\xff")
    client.pump()


@pytest.mark.fault(30)
@pytest.mark.parametrize("end", [lose, cancel, break_framing])
def test_messages_that_wait_when_a_stream_ends_are_not_lost(stage: Stage, end) -> None:
    client = Client(stage.rig)
    stream = client.open()
    (listener,) = stage.listeners
    listener.reading = False
    client.say(stream, b"one", b"two")
    end(client, stream)
    assert listener.heard == [b"one", b"two"]


def test_a_mistake_with_a_message_that_waits_when_the_connection_is_lost_ends_its_stream(stage: Stage) -> None:
    client = Client(stage.rig)
    stage.rig.slots()
    for _ in range(2):
        client.open()
    for listener in stage.listeners:
        listener.reading = False
    client.say(1, b"find a mistake")
    client.socket.close()
    stage.rig.slots(2)
    assert [listener.reasons for listener in stage.listeners] == [["listener_failed"], ["peer_lost"]]


def test_a_lost_connection_ends_all_its_streams(stage: Stage) -> None:
    client = Client(stage.rig)
    client.open()
    client.open()
    client.socket.close()
    stage.rig.slots(2)
    assert [listener.reasons for listener in stage.listeners] == [["peer_lost"], ["peer_lost"]]


@pytest.mark.fault(7)
def test_bytes_that_are_no_http2_end_their_own_connection(stage: Stage) -> None:
    client, other = Client(stage.rig), Client(stage.rig)
    client.open()
    stream = other.open()
    client.socket.sendall(b"\xff" * 100)
    stage.rig.slots(2)
    other.say(stream, b"goes on")
    assert stage.listeners[0].reasons == ["peer_broke_protocol"]
    assert stage.listeners[1].heard == [b"goes on"]
    assert not stage.rig.errors
    assert (stage.rig.rejected, stage.rig.details) == (["bad_http2"], ["FRAME_SIZE_ERROR"])


def test_messages_before_an_error_are_kept(stage: Stage) -> None:
    client = Client(stage.rig)
    stream = client.open()
    client.h2.send_data(stream, frame(b"good"))
    reset_of_no_stream = b"\0\0\4\3" + bytes(9)
    client.socket.sendall(client.h2.data_to_send() + reset_of_no_stream)
    stage.rig.slots(2)
    (listener,) = stage.listeners
    assert (listener.heard, listener.reasons) == ([b"good"], ["peer_broke_protocol"])


def test_a_frame_too_long_is_refused_by_its_header(stage: Stage) -> None:
    client = Client(stage.rig)
    client.open()
    client.socket.sendall((MAX_FRAME + 1).to_bytes(3, "big") + bytes(6))
    stage.rig.slots(2)
    assert stage.listeners[0].reasons == ["peer_broke_protocol"]


@pytest.mark.fault(1)
def test_a_message_too_long_ends_its_stream_after_those_before(stage: Stage) -> None:
    client = Client(stage.rig)
    stream = client.open()
    client.h2.send_data(stream, frame(b"good") + b"\0" + (MAX_MESSAGE + 1).to_bytes(4, "big"))
    client.pump()
    (listener,) = stage.listeners
    assert (listener.heard, listener.reasons) == ([b"good"], ["peer_broke_protocol"])
    assert client.headers[stream]["grpc-status"] == "8"


def test_a_cut_last_message_is_an_error(stage: Stage) -> None:
    client = Client(stage.rig)
    stream = client.open()
    client.h2.send_data(stream, frame(b"whole") + frame(b"cut")[:-1], end_stream=True)
    client.pump()
    assert stage.listeners[0].heard == [b"whole"]
    assert client.headers[stream]["grpc-status"] == "13"


def test_a_largest_message_passes_although_it_is_longer_than_a_window(stage: Stage) -> None:
    client = Client(stage.rig)
    stream = client.open()
    rest = frame(b"x" * MAX_MESSAGE)
    while rest:
        room = min(len(rest), client.h2.local_flow_control_window(stream), 16_384)
        client.h2.send_data(stream, rest[:room]) if room else None
        rest = rest[room:]
        client.pump()
    assert [len(message) for message in stage.listeners[0].heard] == [MAX_MESSAGE]


@pytest.mark.parametrize(
    ("refusal", "code"), [(GrpcError("UNAUTHENTICATED", "no"), "16"), (Refused("busy", retry_after=5), "14")]
)
def test_a_refused_stream_gets_its_status_and_the_connection_goes_on(stage: Stage, refusal, code: str) -> None:
    client = Client(stage.rig)
    stage.refusal = refusal
    refused = client.open()
    stage.refusal = None
    client.say(client.open(), b"hello")
    assert client.headers[refused]["grpc-status"] == code
    assert stage.listeners[0].heard == [b"hello"]


def test_an_unknown_method_and_encoding_are_unimplemented(stage: Stage) -> None:
    client = Client(stage.rig)
    assert client.headers[client.open(path="/other/Method", end=True)]["grpc-status"] == "12"
    assert stage.rig.rejected == ["unknown_path"]
    stream = client.open([("grpc-encoding", "zstd")])
    assert client.headers[stream]["grpc-message"] == "this port takes identity, gzip, deflate"


def test_probes_over_http2_are_answered_and_other_pages_are_not_there(stage: Stage) -> None:
    client = Client(stage.rig)
    found = client.get("/healthz")
    assert (client.headers[found][":status"], client.data[found]) == ("200", b"ok\n")
    assert client.headers[client.get("/healthz", "HEAD")][":status"] == "200"
    assert client.headers[client.get("/other")][":status"] == "404"
    assert client.headers[client.get(METHOD)][":status"] == "404"
    assert stage.rig.rejected == ["not_grpc"] * 2


def test_a_connection_without_a_stream_ends_after_its_time(stage: Stage) -> None:
    client = Client(stage.rig)
    stage.rig.now += IDLE
    client.pump(4)
    assert client.lost


@pytest.mark.fault(80)
def test_a_stream_beyond_the_maximum_is_refused_and_the_others_go_on(stage: Stage) -> None:
    hasty = Client(stage.rig, connect=False)  # does not wait for the limit that the port announces
    first = [hasty.h2.get_next_available_stream_id()]
    hasty.h2.send_headers(first[0], USUAL)
    for _ in range(MAX_STREAMS):
        hasty.h2.send_headers(hasty.h2.get_next_available_stream_id(), USUAL)
    hasty.pump(100)
    assert len(stage.listeners) == MAX_STREAMS
    assert [head["grpc-status"] for head in hasty.headers.values()] == ["14"]
    assert stage.rig.rejected == ["too_many_connections"]
    hasty.say(first[0], b"goes on")
    assert stage.listeners[0].heard == [b"goes on"]


@pytest.mark.fault(6)
def test_long_metadata_is_refused_and_the_other_streams_go_on(stage: Stage) -> None:
    client = Client(stage.rig)
    good = client.open()
    refused = client.open([("x-long", "x" * MAX_HEADERS)])
    client.say(good, b"goes on")
    assert client.headers[refused]["grpc-status"] == "8"
    assert stage.rig.rejected == ["long_metadata"]
    assert stage.listeners[0].heard == [b"goes on"]


@pytest.mark.fault(6)
def test_headers_that_h2_would_end_the_connection_for_end_their_own_stream(stage: Stage) -> None:
    client = Client(stage.rig)
    good = client.open()
    client.h2.config.validate_outbound_headers = False
    without_path = client.h2.get_next_available_stream_id()
    client.h2.send_headers(without_path, [field for field in USUAL if field[0] != ":path"])
    client.say(good, b"goes on")
    assert client.headers[without_path]["grpc-status"] == "12"
    assert stage.listeners[0].heard == [b"goes on"]


@pytest.mark.fault(80)
def test_a_peer_that_takes_no_answer_holds_its_stream_for_a_few_seconds(stage: Stage) -> None:
    client = Client(stage.rig)
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    stream = client.open(end=True)
    (listener,) = stage.listeners
    assert not listener.reasons
    stage.rig.now += ANSWER_TIMEOUT
    client.pump()
    assert listener.reasons == ["stop"]
    assert client.headers[stream]["grpc-status"] == "0"


@pytest.mark.fault(8)
def test_a_silent_peer_is_gone_within_40_s(stage: Stage) -> None:
    client = Client(stage.rig)
    client.open()
    for _ in range(4):
        stage.rig.now += PING_INTERVAL
        stage.rig.slots()
    assert stage.listeners[0].reasons == ["peer_lost"]


@pytest.mark.fault(11)
@pytest.mark.parametrize("stage", [{"max_connections": 2}], indirect=True)
def test_one_connection_too_many_is_turned_away(stage: Stage) -> None:
    first, second, third = Client(stage.rig), Client(stage.rig), Client(stage.rig)
    assert third.lost
    assert stage.rig.rejected == ["too_many_connections"]
    first.say(first.open(), b"one")
    second.say(second.open(), b"two")
    assert [listener.heard for listener in stage.listeners] == [[b"one"], [b"two"]]


@pytest.mark.fault(80)
def test_streams_that_are_opened_and_reset_without_end_are_not_read_without_end(stage: Stage) -> None:
    client = Client(stage.rig)
    for _ in range(2000):
        stream = client.h2.get_next_available_stream_id()
        usual = [(":method", "POST"), (":path", METHOD), (":scheme", "http"), (":authority", "x")]
        client.h2.send_headers(stream, [*usual, ("content-type", "application/grpc")])
        client.h2.reset_stream(stream)
        client.socket.sendall(client.h2.data_to_send())
    stage.rig.slots()
    first = len(stage.listeners)
    stage.rig.slots(100)
    assert 0 < first < 1000  # those of one read
    assert len(stage.listeners) == first


@pytest.mark.fault(2, 3, 80)
@pytest.mark.parametrize(
    "frame",
    [
        PingFrame(0, opaque_data=b"12345678"),
        SettingsFrame(0, settings={3: 100}),
        PriorityFrame(1, depends_on=0),
        WindowUpdateFrame(0, window_increment=1),
        DataFrame(1),
        RstStreamFrame(3, error_code=8),
        ExtensionFrame(0x77, 0),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_small_frames_without_end_are_not_read_without_end(stage: Stage, frame) -> None:
    client = Client(stage.rig)
    client.open()
    client.h2.reset_stream(client.open())
    client.pump()
    client.socket.setblocking(False)
    flood = frame.serialize() * 200
    for _ in range(100):
        with contextlib.suppress(BlockingIOError):
            client.socket.send(flood)
        stage.rig.slots()
        with contextlib.suppress(BlockingIOError):
            client.socket.recv(1 << 20)
    (connection,) = stage.rig.port.connections
    seconds = 2 + BURST * 2
    assert RATE / MIN_FRAME_COST < connection._protocol.frames < RATE / MIN_FRAME_COST * seconds + 16_384 / 9


def test_a_preface_alone_is_no_stranger_to_the_clock(stage: Stage) -> None:
    client = stage.rig.connect(PREFACE[:2])
    stage.rig.now += 5.0
    stage.rig.slots(2)
    assert client.recv(100) == b""
    assert stage.rig.rejected == ["no_request"]
