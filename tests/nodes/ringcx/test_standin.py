"""The stand-ins of both listeners: a whole call without a socket."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from flowcore.engine.admission import LocalConnectionCounter
from nodes.ringcx import grpc_standin, standin
from nodes.sources.ringcx import RingCX
from nodes.sources.ringcx_grpc import RingCXGrpc
from tests.support.grpc_host import Host

VOICES = {"agent": np.zeros(1600, np.int16), "customer": np.zeros(2000, np.int16)}
BOTH = pytest.mark.parametrize(
    ("module", "config"), [(standin, RingCX.Config()), (grpc_standin, RingCXGrpc.Config())], ids=["websocket", "grpc"]
)


class StandInHost(Host):
    """A host without other nodes."""

    public = ""
    connections = LocalConnectionCounter()

    def resources(self) -> list[Any]:
        return []


@BOTH
def test_a_whole_call_ends_in_good_order(module: ModuleType, config: Any) -> None:
    host = StandInHost()
    connection = module.Connection(host, config)
    last = 0.0
    for second, track, message in module.messages({"call_id": "c1"}, VOICES):
        assert second >= last
        assert track in ("", *VOICES)
        host.time, last = 100.0 + second, second
        connection.receive(message, host.time)
        connection.poll(host.time)
    assert host.inlet is not None
    assert sum(packet.seconds for packet in host.inlet.packets) == pytest.approx(3600 / 8000)
    assert host.inlet.reason == module.END
    assert connection.over


@BOTH
def test_a_paused_flow_pauses_the_connection(module: ModuleType, config: Any) -> None:
    host = StandInHost()
    connection = module.Connection(host, config)
    assert not connection.paused
    for _, _, message in list(module.messages({"call_id": "c1"}, VOICES))[:6]:
        connection.receive(message, host.time)
    assert host.inlet is not None
    host.inlet.paused = True
    connection.poll(host.time)
    assert connection.paused
    assert not connection.over


@BOTH
@pytest.mark.parametrize(
    "end",
    [
        lambda host, connection: connection.end("peer_lost"),
        lambda host, connection: setattr(host, "time", host.time + 31.0),
    ],
    ids=["lost", "no start"],
)
def test_a_call_without_a_start_ends(module: ModuleType, config: Any, end: Callable[[Any, Any], None]) -> None:
    host = StandInHost()
    connection = module.Connection(host, config)
    end(host, connection)
    connection.poll(host.time)
    connection.end("peer_lost")
    assert connection.over
    assert not connection.paused
    assert host.inlet is None


@BOTH
def test_a_flow_that_ends_by_itself_ends_the_connection(module: ModuleType, config: Any) -> None:
    host = StandInHost()
    connection = module.Connection(host, config)
    for _, _, message in list(module.messages({"call_id": "c1"}, VOICES))[:6]:
        connection.receive(message, host.time)
    assert host.inlet is not None
    host.inlet.end("node_failed")
    connection.poll(host.time + 1.0)
    assert connection.over
