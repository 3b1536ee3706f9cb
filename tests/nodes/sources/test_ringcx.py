"""The RingCX listener over real sockets, with a small host whose clock and slots the test holds."""

import asyncio
import base64
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

import nodes.ringcx.grpc_service  # noqa: F401  # a listener waits for its import
from flowcore import CannotStart, Packet, Refused, Resource
from flowcore.engine.admission import LocalConnectionCounter
from flowcore.engine.sockets import listen
from nodes.ringcx.call_sender import CallSender
from nodes.sources.ringcx import RingCX

UPGRADE = (
    b"GET /?%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
START = b'{"event":"Start","metadata":{"callId":"c1","contentType":"audio/x-mulaw","sampleRateHertz":8000}}'
STOP = b'{"event":"Stop","metadata":{"duration":1}}'


class CountingReport:
    """A report that counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.events: list[tuple[str, dict[str, Any]]] = []

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        self.counts[reason] += chunks

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        self.counts[reason] += chunks

    def event(self, event: str, **data: Any) -> None:
        self.events.append((event, data))


class FlowEnd:
    """An inlet that keeps what it gets."""

    flow = "test-flow"

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes = attributes
        self.report = CountingReport()
        self.connections = LocalConnectionCounter()
        self.packets: list[Packet] = []
        self.paused = False
        self.reason = ""

    @property
    def ended(self) -> bool:
        return bool(self.reason)

    def push(self, chunk: Packet) -> None:
        self.packets.append(chunk)

    def end(self, reason: str) -> None:
        self.reason = self.reason or reason

    def heard(self, track: str) -> bytes:
        return b"".join(packet.data for packet in self.packets if packet.track == track)


class TestHost:
    """Implements `flowcore.Host` with slots that a test makes by hand."""

    __test__ = False

    def __init__(self) -> None:
        self.report = CountingReport()
        self.connections = LocalConnectionCounter()
        self.draining = False
        self.full = False
        self.flows: list[FlowEnd] = []
        self.time = 1000.0
        self.url = ""
        self.poll: Callable[[], None] = lambda: None
        self.clients: list[socket.socket] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    async def slot(self) -> None:
        raise NotImplementedError

    def every_slot(self, poll: Callable[[], None]) -> Callable[[], None]:
        self.poll = poll
        return lambda: None

    def listen(self, address: str, port: int) -> socket.socket:
        return listen(address, port)

    def room(self) -> int:
        return 64

    public = ""

    def resources(self) -> list[Resource]:
        return []

    def announce(self, what: str, address: str) -> None:
        self.url = address

    def offer(self, what: str, address: str) -> None:
        raise NotImplementedError

    def admit(self, address: str = "") -> None:
        if self.full or self.draining:
            raise Refused("busy", retry_after=5)

    def accept(self, attributes: Mapping[str, str], address: str = "") -> FlowEnd:
        self.admit()
        self.flows.append(FlowEnd(attributes))
        return self.flows[-1]

    def slots(self, count: int = 1) -> None:
        for _ in range(count):
            self.time += 0.020
            self.poll()

    def wait(self, seconds: float) -> None:
        self.time += seconds
        self.slots()

    def connect(self, query: bytes = b"", answer: bytes = b"HTTP/1.1 101 ") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", int(self.url.rstrip("/").rsplit(":", 1)[1])))
        self.clients.append(client)
        client.settimeout(30)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(UPGRADE % query)
        self.slots()
        assert client.recv(4096).startswith(answer)
        return client


def listening(test: Callable[[TestHost], None], **config: Any) -> None:
    """Run ``test`` while a listener listens."""

    async def main() -> None:
        host = TestHost()
        listener = asyncio.create_task(RingCX(RingCX.Config(port=0, **config)).run(host))
        await asyncio.wait({listener}, timeout=0)  # up to its first wait
        try:
            test(host)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            for client in host.clients:
                client.close()

    asyncio.run(main())


def text(*messages: bytes) -> bytes:
    return b"".join(Frame(Opcode.TEXT, message).serialize(mask=True) for message in messages)


def media(seq: int = 1, data: bytes = b"\xff" * 160, perspective: str = "Participant") -> bytes:
    encoded = base64.b64encode(data).decode()
    return json.dumps({"event": "Media", "perspective": perspective, "sequenceId": str(seq), "media": encoded}).encode()


def close_code(client: socket.socket) -> int:
    data = client.recv(4096).removeprefix(b"\x89\x00")  # asked whether it is still there
    assert data[0] == 0x88
    return int.from_bytes(data[2:4], "big")


def test_a_real_websockets_client_is_heard_whole() -> None:
    agent, customer = random.Random(1).randbytes(160 * 50), random.Random(2).randbytes(160 * 50)

    def call(url: str) -> int:
        caller = CallSender({"call_id": "c7", "session_id": "3"})
        with connect(url + "?EVAccountId=42&ani=wrong", proxy=None) as socket_:
            assert socket_.response is not None
            assert "Sec-WebSocket-Extensions" not in socket_.response.headers  # deflate was offered
            for message in (caller.connected(), caller.start()):
                socket_.send(message.decode())
            for at in range(0, len(agent), 160):
                socket_.send(caller.media("agent", agent[at : at + 160]).decode())
                socket_.send(caller.media("customer", customer[at : at + 160]).decode())
            socket_.ping().wait(30)
            for _ in range(2):
                socket_.send(caller.stop(1, "2026-01-01T00:00:00Z").decode())
        return int(socket_.close_code or 0)

    def test(host: TestHost) -> None:
        with ThreadPoolExecutor(1) as pool:
            calling = pool.submit(call, host.url)
            while not wait([calling], timeout=0.002).done:
                host.slots()
        assert calling.result() == 1000
        (flow,) = host.flows
        assert (flow.heard("agent"), flow.heard("customer")) == (agent, customer)
        assert [packet.seq for packet in flow.packets if packet.track == "agent"] == list(range(1, 51))
        assert flow.reason == "stop"
        assert (flow.attributes["call_id"], flow.attributes["account_id"]) == ("c7", "42")

    listening(test)


@pytest.mark.fault(10)
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 100_000), max_size=12), st.integers(0, 1000))
def test_any_slicing_of_a_call_gives_the_same_packets(cuts: list[int], seed: int) -> None:
    audio = random.Random(seed).randbytes(160 * 20)
    stream = text(START, *(media(at // 160, audio[at : at + 160]) for at in range(0, len(audio), 160)), STOP, STOP)
    places = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]

    def test(host: TestHost) -> None:
        client = host.connect()
        for begin, end in pairwise(places):
            client.sendall(stream[begin:end])
            host.slots()
        host.slots(2)
        (flow,) = host.flows
        assert flow.heard("agent") == audio
        assert flow.reason == "stop"

    listening(test)


def test_cut_in_the_middle_of_a_message_keeps_every_whole_one() -> None:
    whole = text(START, media(1), media(2))

    def test(host: TestHost) -> None:
        for cut in range(1, len(text(media(3))), 7):
            client = host.connect()
            client.sendall(whole + text(media(3))[:cut])
            client.close()
            host.slots(3)
            assert len(host.flows[-1].packets) == 2
            assert host.flows[-1].reason == "peer_lost"

    listening(test)


def test_the_query_is_heard_but_start_wins() -> None:
    def test(host: TestHost) -> None:
        client = host.connect(b"uii=query&SESSION-ID=s9&Colour=%0Ared&ani=" + b"7" * 999)
        client.sendall(text(START))
        host.slots()
        assert host.flows[0].attributes == {
            "call_id": "c1",
            "session_id": "s9",
            "ani": "7" * 256,
            "query.Colour": "\nred",
            "start.contenttype": "audio/x-mulaw",
            "start.sampleratehertz": "8000",
        }

    listening(test)


@pytest.mark.fault(23)
def test_disorder_is_counted_and_harms_nothing() -> None:
    def test(host: TestHost) -> None:
        client = host.connect()
        client.sendall(text(media(), STOP, b"garbage"))
        host.slots()
        assert host.flows == []
        before = {"media_before_start": 1, "stop_before_start": 1, "bad_message:not_json": 1}
        client.sendall(text(START, START, b'{"event":"Hold"}', media(), media(data=b""), STOP, media(2)))
        host.slots()
        (flow,) = host.flows
        assert flow.report.counts == {**before, "second_start": 1, "unknown_event": 1, "empty_media": 1}
        assert len(flow.packets) == 2
        assert not flow.ended
        client.sendall(text(STOP))
        host.slots()
        assert flow.reason == "stop"

    listening(test)


def test_one_stop_and_2_s_without_media_is_the_end() -> None:
    def test(host: TestHost) -> None:
        client = host.connect()
        client.sendall(text(START, media(), STOP))
        host.wait(1.0)
        client.sendall(text(media(2)))
        host.wait(1.5)
        host.wait(1.5)
        assert not host.flows[0].ended
        host.wait(1.0)
        assert host.flows[0].reason == "stop"

    listening(test)


def test_after_the_end_the_peer_has_5_s_to_close_then_we_do() -> None:
    def test(host: TestHost) -> None:
        client = host.connect()
        client.sendall(text(START, STOP, STOP))
        host.slots()
        assert host.flows[0].reason == "stop"
        host.wait(4.9)
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        host.wait(0.1)
        assert close_code(client) == 1000

    listening(test)


@pytest.mark.fault(22)
def test_sixteen_bad_messages_in_a_row_end_the_call_with_1008() -> None:
    def test(host: TestHost) -> None:
        client = host.connect()
        client.sendall(text(START, *[b"x"] * 15, media(), *[b"x"] * 15))
        host.slots()
        assert not host.flows[0].ended
        client.sendall(text(b"x"))
        host.slots()
        assert host.flows[0].reason == "peer_broke_protocol"
        assert close_code(client) == 1008

    listening(test)


@pytest.mark.fault(22)
def test_a_hold_sent_as_empty_media_never_ends_a_call() -> None:
    def test(host: TestHost) -> None:
        client = host.connect()
        client.sendall(text(START, media(1)))
        host.slots()
        for seq in range(2, 402):  # in a row, and more than all other messages
            client.sendall(text(media(seq, b"")))
            host.slots()
        client.sendall(text(STOP))  # of the other party
        for seq in range(402, 602):
            client.sendall(text(media(seq, b"")))
            host.slots()
        client.sendall(text(media(602)))
        host.slots()
        (flow,) = host.flows
        assert not flow.ended
        assert flow.report.counts == {"empty_media": 600}
        assert [packet.seq for packet in flow.packets] == [1, 2]  # the numbers of a hold are no lost packets

    listening(test)


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("start", "counts"),
    [
        (START.replace(b"}}", b",}}"), {"repaired:trailing_comma": 1}),
        (START.replace(b"8000", b"NaN"), {"repaired:not_a_number": 1, "repaired:empty_format": 1}),
        (START.replace(b'"audio/x-mulaw"', b"null"), {"repaired:empty_format": 1}),
    ],
)
def test_a_start_with_a_comma_too_many_nan_or_null_begins_the_call_and_is_counted(
    start: bytes, counts: dict[str, int]
) -> None:
    def test(host: TestHost) -> None:
        assert start != START
        client = host.connect()
        client.sendall(text(start, media(), media(2).replace(b"}", b",}")))
        host.slots()
        (flow,) = host.flows
        assert len(flow.packets) == 2
        comma = counts.get("repaired:trailing_comma", 0) + 1
        assert flow.report.counts == counts | {"repaired:trailing_comma": comma}

    listening(test)


@pytest.mark.fault(24)
def test_another_format_is_refused_with_1003_and_opens_no_flow() -> None:
    def test(host: TestHost) -> None:
        client = host.connect()
        client.sendall(text(START.replace(b"8000", b"16000"), media()))
        host.slots()
        assert close_code(client) == 1003
        assert host.flows == []
        assert host.report.events[0][0] == "protocol_violated"

    listening(test)


def test_paused_flow_stops_the_reading_of_its_call_only() -> None:
    def test(host: TestHost) -> None:
        clients = [host.connect() for _ in range(2)]
        for client in clients:
            client.sendall(text(START, media(1), STOP))
        host.slots()
        host.flows[0].paused = True
        for client in clients:
            client.sendall(text(media(2)))
        host.slots(5)
        assert [len(flow.packets) for flow in host.flows] == [1, 2]
        host.wait(10)  # longer than the quiet that ends a call after its first Stop
        assert not host.flows[0].ended
        host.flows[0].paused = False
        host.slots()
        assert len(host.flows[0].packets) == 2

    listening(test)


@pytest.mark.parametrize(("draining", "code"), [(False, 1011), (True, 1001)])
def test_flow_that_the_engine_ended_hangs_up(draining: bool, code: int) -> None:
    def test(host: TestHost) -> None:
        client = host.connect()
        client.sendall(text(START, media()))
        host.slots()
        host.flows[0].end("node_failed")
        host.draining = draining
        host.slots()
        assert close_code(client) == code

    listening(test)


def test_busy_or_draining_process_answers_503_before_the_upgrade() -> None:
    def test(host: TestHost) -> None:
        host.full = True
        host.connect(answer=b"HTTP/1.1 503 ")
        host.full, host.draining = False, True
        host.connect(answer=b"HTTP/1.1 503 ")
        host.draining = False
        client = host.connect()
        host.full = True  # the last place went to another between the upgrade and Start
        client.sendall(text(START))
        host.slots()
        assert close_code(client) == 1013
        assert host.flows == []

    listening(test)


def test_connection_without_start_and_call_without_a_word_are_given_up() -> None:
    def test(host: TestHost) -> None:
        dumb, idle = host.connect(), host.connect()
        idle.sendall(text(START, media()))
        host.slots()
        host.wait(29.9)
        host.wait(0.1)
        assert close_code(dumb) == 1008
        host.wait(3600)
        assert host.flows[0].reason == "idle"

    listening(test)


def test_the_same_call_twice_is_two_flows_without_a_mixed_byte() -> None:
    def test(host: TestHost) -> None:
        clients = [host.connect(), host.connect()]
        for seq in range(100):
            for number, client in enumerate(clients):
                client.sendall(text(*[START][seq:], media(seq, bytes([number]) * 160)))
            host.slots()
        for number, flow in enumerate(host.flows):
            assert flow.attributes["call_id"] == "c1"
            assert flow.heard("agent") == bytes([number]) * 16000
        assert len(host.flows) == 2

    listening(test)


@pytest.mark.fault(24)
def test_announced_duration_that_differs_from_the_audio_is_reported() -> None:
    def test(host: TestHost) -> None:
        for announced, told in ((100, 0), (101, 0), (104, 1), (97, 1), (0, 0)):
            client = host.connect()
            stop = b'{"event":"Stop","metadata":{"duration":%d}}' % announced
            for at in range(0, 5000, 250):  # 100 s
                client.sendall(text(*[START][at:], *(media(seq) for seq in range(at, at + 250))))
                host.slots(6)
            client.sendall(text(stop, stop))
            host.slots(2)
            assert host.flows[-1].reason == "stop"
            names = [name for name, _ in host.flows[-1].report.events]
            assert names.count("duration_mismatched") == told

    listening(test, max_speed=1000)


@pytest.mark.fault(24)
def test_twice_the_announced_rate_is_reported_within_2_s_of_audio() -> None:
    def test(host: TestHost) -> None:
        for samples, told in ((160, False), (320, True)):  # in 20 ms: 8 kHz as announced, or 16 kHz
            client = host.connect()
            client.sendall(text(START))
            seconds = 0.0
            for seq in range(150):
                client.sendall(text(media(seq, bytes(samples))))
                host.slots()
                seconds += samples / 8000
                events = host.flows[-1].report.events
                if seconds >= 2.3 or events:
                    break
            assert [name for name, _ in events] == ["pace_exceeded"] * told
            assert not told or events[0][1]["speed"] == pytest.approx(2.0, abs=0.2)

    listening(test)


def start(port: int, host: str = "127.0.0.1") -> Coroutine[Any, Any, None]:
    proxies = {} if host == "127.0.0.1" else {"behind_proxy": ["192.0.2.7"]}
    return RingCX(RingCX.Config(host=host, port=port, **proxies)).run(TestHost())


def test_taken_port_is_named_with_a_fix() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"port: port {number} of 127.0.0.1 is taken: stop") as caught:
            asyncio.run(start(number))
    assert caught.value.field == "port"


def test_address_of_another_machine_is_named() -> None:
    with pytest.raises(CannotStart, match=r"host: cannot listen at 192\.0\.2\.1"):
        asyncio.run(start(0, "192.0.2.1"))
