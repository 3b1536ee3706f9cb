"""A call whose messages are read late, because this process was held up: no limit and no pace is judged by that."""

from collections.abc import Iterator
from typing import Any

import pytest
from websockets.http11 import Request

from flowcore import Packet
from flowcore.addresses import Address
from flowcore.engine.admission import LocalConnectionCounter
from nodes.net.connection import MAX_READ
from nodes.ringcx.access_policy import AccessPolicy, Admission
from nodes.ringcx.call_peer import CallPeer
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.call_state import STOP_QUIET
from nodes.ringcx.listener_config import ListenerConfig
from tests.support.rig import Rig, text


class Host:
    """The part of the engine that a call needs, and its flow."""

    draining = paused = False

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.report = self
        self.packets: list[Packet] = []
        self.push = self.packets.append
        self.events: list[str] = []
        self.reason = ""

    @property
    def ended(self) -> bool:
        return bool(self.reason)

    def now(self) -> float:
        return self.rig.now

    def admit(self, address: str = "") -> None: ...
    def accept(self, attributes: dict[str, str], address: str = "") -> Any:
        return self

    def end(self, reason: str) -> None:
        self.reason = self.reason or reason

    def event(self, event: str, **data: object) -> None:
        self.events.append(event)


class CallRig(Rig):
    """A port behind which calls are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.host = Host(self)

    def route(self, request: Request, caller: Address) -> Any:
        admission = Admission(AccessPolicy(ListenerConfig(), self.host, LocalConnectionCounter()), caller)  # type: ignore[arg-type]
        self.peers.append(CallPeer(self.host, request, admission, start=10.0, idle=60.0))  # type: ignore[arg-type]
        return self.peers[-1]


@pytest.fixture
def rig() -> Iterator[CallRig]:
    rig = CallRig()
    yield rig
    rig.port.close()
    for client in rig.clients:
        client.close()


def audio(caller: CallSender, seconds: float, *tracks: str) -> bytes:
    return b"".join(text(caller.media(track, bytes(160))) for _ in range(round(seconds * 50)) for track in tracks)


def test_a_stall_at_the_start_makes_no_call_faster_than_real_time(rig: CallRig) -> None:
    client, _ = rig.call()
    caller = CallSender({})
    client.sendall(text(caller.start()) + audio(caller, 2.5, "agent"))
    rig.now += 2.6
    rig.slots(30)
    assert len(rig.host.packets) == 125
    assert rig.host.events == []


@pytest.mark.fault(26)
def test_a_call_that_stops_is_heard_to_its_end_whatever_holds_us_up(rig: CallRig) -> None:
    client, _ = rig.call()
    caller = CallSender({})
    client.sendall(text(caller.start()) + text(caller.stop(1, "")))
    rig.slots(30)
    client.sendall(audio(caller, 4.0, "customer"))  # the agent has stopped, and the customer speaks on
    rig.now += 4.0 + STOP_QUIET
    rig.slots(10)
    assert len(rig.host.packets) == 200
    assert not rig.host.ended


def test_a_stop_within_a_stall_does_not_end_what_is_not_read_yet(rig: CallRig) -> None:
    client, _ = rig.call()
    caller = CallSender({})
    client.sendall(text(caller.start()) + audio(caller, 0.2, "agent", "customer"))
    rig.slots(30)
    late = text(caller.stop(1, "")) + audio(caller, 2 * STOP_QUIET, "customer")
    assert len(late) > 2 * MAX_READ
    client.sendall(late)
    rig.now += 2 * STOP_QUIET
    rig.slots(20)
    assert len(rig.host.packets) == 20 + 50 * 2 * STOP_QUIET
    assert not rig.host.ended


def test_a_stall_while_the_flow_asked_to_wait_is_no_silence(rig: CallRig) -> None:
    client, _ = rig.call()
    client.sendall(text(CallSender({}).start()))
    rig.slots(30)
    rig.host.paused = True
    rig.now += 61.0
    rig.slots(1)
    rig.host.paused = False
    rig.slots(30)
    assert not rig.host.ended
