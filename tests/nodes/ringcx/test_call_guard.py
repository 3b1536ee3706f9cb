"""The rules of a call that both peers share, each over its own transport."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from flowcore import Refused
from flowcore.addresses import normalize_address
from flowcore.engine.admission import LocalConnectionCounter
from nodes.ringcx.access_policy import AccessPolicy, Admission
from nodes.ringcx.call_attributes import MAX_FIELDS, MAX_TEXT
from nodes.ringcx.call_peer import CallPeer
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.dialog_sender import DialogSender
from nodes.ringcx.grpc_peer import GrpcPeer
from nodes.ringcx.listener_config import ListenerConfig
from tests.support.grpc_host import Host

ATTRIBUTES = {"call_id": "c1", "account_id": "ours"}


class WebSocketCall:
    """A `CallPeer`, its sender, and the close code that it sent."""

    attributes: Mapping[str, str] = ATTRIBUTES

    def __init__(self, host: Any, rules: ListenerConfig, start: float, idle: float) -> None:
        admission = Admission(AccessPolicy(rules, host.report, LocalConnectionCounter()), normalize_address("::1"))
        self._peer = CallPeer(host, Request("/", Headers()), admission, start=start, idle=idle)
        self._sender = CallSender(self.attributes)
        self.code: object = None
        self.text = ""
        self._peer.opened(self)

    def close(self, code: int, reason: str = "") -> None:
        self.code, self.text = code, reason

    def start(self, now: float) -> None:
        self._peer.messages_received([self._sender.start(), self._sender.media("agent", bytes(160))], now)

    def media(self, seconds: float, now: float) -> None:
        self._peer.messages_received([self._sender.media("agent", bytes(round(seconds * 8000)))], now)

    def garbage(self, now: float) -> None:
        self._peer.messages_received([b"garbage"] * 16, now)

    def stray(self, now: float) -> None:
        self._peer.messages_received([self._sender.stop(1, "")], now)

    def poll(self, now: float) -> None:
        self._peer.wants_read(now)

    def closed(self) -> None:
        self._peer.closed("peer_lost")


class GrpcCall:
    """A `GrpcPeer`, its sender, and its status."""

    attributes: Mapping[str, str] = ATTRIBUTES

    def __init__(self, host: Any, rules: ListenerConfig, start: float, idle: float) -> None:
        admission = Admission(AccessPolicy(rules, host.report, LocalConnectionCounter()), normalize_address("::1"))
        self._peer = GrpcPeer(host, admission, start=start, idle=idle, speed=4.0)
        self._sender = DialogSender(self.attributes)

    @property
    def code(self) -> object:
        return self._peer.status and self._peer.status[0]

    @property
    def text(self) -> str:
        return self._peer.status[1] if self._peer.status else ""

    def start(self, now: float) -> None:
        for message in (self._sender.dialog_init(), self._sender.segment_start("agent")):
            self._peer.receive(message, now)
        self._peer.receive(self._sender.media("agent", bytes(160)), now)

    def media(self, seconds: float, now: float) -> None:
        self._peer.receive(self._sender.media("agent", bytes(round(seconds * 8000))), now)

    def garbage(self, now: float) -> None:
        for _ in range(16):
            self._peer.receive(b"\xff", now)

    def stray(self, now: float) -> None:
        self._peer.receive(self._sender.segment_stop("agent"), now)

    def poll(self, now: float) -> None:
        self._peer.poll(now)

    def closed(self) -> None:
        self._peer.end("peer_lost")


Call = WebSocketCall | GrpcCall
Make = Callable[..., Call]


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture(params=[WebSocketCall, GrpcCall])
def make(request: pytest.FixtureRequest, host: Host) -> Make:
    def make(rules: ListenerConfig = ListenerConfig(), start: float = 10.0, idle: float = 60.0) -> Call:  # noqa: B008  # it is frozen
        return request.param(host, rules, start, idle)

    return make


def code(call: Call, websocket: int, grpc: str) -> bool:
    """Return whether a call was ended with its transport's code."""
    return call.code == (websocket if isinstance(call, WebSocketCall) else grpc)


def test_a_call_without_room_is_not_even_made(make: Make, host: Host) -> None:
    host.full = True
    with pytest.raises(Refused):
        make()


def test_a_call_must_start_in_time(make: Make, host: Host) -> None:
    call = make(start=10.0)
    call.poll(host.time + 9.9)
    assert call.code is None
    call.poll(host.time + 10.2)
    assert code(call, 1008, "DEADLINE_EXCEEDED")
    assert call.text in ("no Start came", "no DialogInit came")
    assert host.report.events == ["start_missing"]
    call.closed()
    assert host.report.events == ["start_missing"]


def test_a_connection_that_is_lost_before_its_start_is_reported(make: Make, host: Host) -> None:
    make().closed()
    assert len(host.report.events) == 1


def test_a_call_that_is_not_allowed_gets_the_reason(make: Make, host: Host) -> None:
    call = make(ListenerConfig(accounts={"theirs"}))
    call.start(host.time)
    assert code(call, 1008, "PERMISSION_DENIED")
    assert call.text == "calls of this account are not taken"
    assert host.inlet is None


def test_a_call_for_which_there_is_no_room_any_more_may_try_again(make: Make, host: Host) -> None:
    call = make()
    host.full = True
    call.start(host.time)
    assert code(call, 1013, "UNAVAILABLE")
    assert call.text == "busy"


@pytest.mark.parametrize(("draining", "websocket", "grpc"), [(True, 1001, "UNAVAILABLE"), (False, 1011, "INTERNAL")])
def test_a_flow_that_ends_ends_the_connection(
    make: Make, host: Host, draining: bool, websocket: int, grpc: str
) -> None:
    call = make()
    call.start(host.time)
    host.draining = draining
    assert host.inlet is not None
    host.inlet.end("node_failed")
    call.poll(host.time)
    assert code(call, websocket, grpc)


def test_an_idle_call_ends_in_good_order(make: Make, host: Host) -> None:
    call = make(idle=60.0)
    call.start(host.time)
    call.poll(host.time + 59.0)
    assert host.inlet is not None
    assert not host.inlet.ended
    call.poll(host.time + 61.0)
    assert host.inlet.reason == "idle"


@pytest.mark.parametrize(("took", "reported"), [(1.0, True), (2.2, False)])
def test_a_call_faster_than_real_time_is_reported_once(make: Make, host: Host, took: float, reported: bool) -> None:
    call = make()
    call.start(host.time)
    for number in range(1, 3):
        call.media(2.1, host.time + number * took)
        call.poll(host.time + number * took)
    assert host.inlet is not None
    assert host.inlet.report.events == ["pace_exceeded"] * reported


def test_attributes_beyond_all_bounds_are_cut_and_counted(
    make: Make, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = ATTRIBUTES | {f"k{number}": "x" for number in range(MAX_FIELDS + 7)} | {"dnis": "5" * 1000}
    monkeypatch.setattr(WebSocketCall, "attributes", many)
    monkeypatch.setattr(GrpcCall, "attributes", many)
    make().start(host.time)
    assert host.inlet is not None
    assert host.inlet.attributes["call_id"] == "c1"
    assert host.inlet.attributes["dnis"] == "5" * MAX_TEXT
    assert host.inlet.report.counts["attributes_cut"] >= 8


def test_what_was_ignored_before_the_start_counts_for_the_call(make: Make, host: Host) -> None:
    call = make()
    call.stray(host.time)
    assert not host.report.counts
    call.start(host.time)
    assert host.inlet is not None
    assert sum(host.inlet.report.counts.values()) == 1


def test_what_was_ignored_counts_without_a_call_too(make: Make, host: Host) -> None:
    call = make()
    call.stray(host.time)
    call.closed()
    assert sum(host.report.counts.values()) == 1


def test_a_call_that_breaks_the_protocol_is_reported_and_ends(make: Make, host: Host) -> None:
    call = make()
    call.start(host.time)
    call.garbage(host.time)
    assert code(call, 1008, "INVALID_ARGUMENT")
    assert host.inlet is not None
    assert host.inlet.reason == "peer_broke_protocol"
    assert host.inlet.report.events == ["protocol_violated"]
